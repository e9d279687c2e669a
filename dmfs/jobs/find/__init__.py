"""``dmfs find``: entries by name, size and time."""
