"""The boundary: untrusted code runs in confined worker processes, and the grader asks them questions."""
