"""The reference: one module a unit, the one source of signatures and docstrings."""
