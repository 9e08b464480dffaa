"""Tools for those who work on the kit; nothing here decides a grade."""
