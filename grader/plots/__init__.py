"""Pictures of what the learner's own code does: each a pure function from data to a figure, and to text.

A module a picture: `collect` asks the learner's units for the data, `draw` makes a matplotlib figure of it, `text`
something that rich can print. They import torch and matplotlib, so whoever needs one imports that one.
"""
