"""What both sides of the boundary share: how values are written down."""
