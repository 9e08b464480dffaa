"""Intake: find what each learner handed in, and read it in a confined process, one submission at a time."""
