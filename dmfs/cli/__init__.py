"""The ``dmfs`` command."""
