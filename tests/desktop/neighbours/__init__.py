"""Real neighbours of a desktop let loose on a mount of 10 000 models, and what each of them cost.

``python -m tests.desktop.neighbours`` (a part of ``scripts/nightly``) installs what is missing,
drops to an ordinary user, and prints a row for each program. Exit status 1: one cost more than it
may, or a person's programs beside it saw an error.
"""
