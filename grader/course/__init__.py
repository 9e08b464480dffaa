"""Many submissions at once: read, graded side by side, kept, and shown."""
