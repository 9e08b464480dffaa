"""Benchmarks, and the yardsticks that they compare with."""
