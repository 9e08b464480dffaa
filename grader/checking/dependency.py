"""What lies below a unit: the other units, as the unit under test sees them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from grader.sandbox.worker import importer


def dependency(unit: Any, name: str) -> Any:
    """The unit `name` of the same submission, oracle or mistake as `unit`, on either side of the boundary.

    A check says `dependency(unit, "model").TransformerLM` and not `unit.TransformerLM`: how a learner imports is free.

    Args:
        unit: What a check's question is called with.
        name: Another unit's name.
    """
    return importer.sibling(unit, name) if isinstance(unit, ModuleType) else unit._sibling(name)
