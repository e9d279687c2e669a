"""``dmfs refs``: what refers to what."""
