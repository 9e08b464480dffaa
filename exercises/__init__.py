"""Your code: one module per unit."""
