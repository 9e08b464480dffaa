"""The command line: one function per command, options in, words out."""
