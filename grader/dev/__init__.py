"""Tools for those who work on the kit; nothing here decides a grade."""

from typing import Literal

Depth = Literal["failures", "names", "costs"]  # how closely selfcheck looks at known mistakes
