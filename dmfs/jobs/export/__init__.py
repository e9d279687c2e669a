"""``dmfs export``: designs as files."""
