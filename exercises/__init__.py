"""Your room: one module a unit, to be filled in."""
