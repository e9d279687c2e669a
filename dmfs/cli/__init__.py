"""The ``dmfs`` command: one file for each subject of commands. Only ``main`` reads argv and the
environment; the others get both as an Invocation."""

DONE, FAILED, USAGE = 0, 1, 2
"""Exit codes: done, failed, wrong command line."""
INTERRUPTED = 130
"""What a shell reports for a program that SIGINT ended."""
