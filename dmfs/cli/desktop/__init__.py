"""``dmfs desktop``: give the desktop what it needs to know of the drive."""
