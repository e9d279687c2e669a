"""``dmfs url`` and ``dmfs path``: from an entry to its web page, and back."""
