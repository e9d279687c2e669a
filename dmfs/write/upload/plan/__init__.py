"""What an upload decides, without I/O: parts, rows, looks, conflicts, failures. Pure."""
