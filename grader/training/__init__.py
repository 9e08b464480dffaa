"""Training a target's whole stack on real text: what `grader train` does."""
