"""What a test file needs: the marker of a check, and the known right and wrong variants of a solution."""

import pytest

from grader.checking.dependency import dependency
from grader.checking.surroundings import Counting, default_dtype, read_only
from grader.checking.variants import Alternative, Mistake, alternative, always

check = pytest.mark.check

__all__ = [
    "Alternative",
    "Counting",
    "Mistake",
    "alternative",
    "always",
    "check",
    "default_dtype",
    "dependency",
    "read_only",
]
