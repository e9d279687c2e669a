"""Jobs of a drive that writes."""
