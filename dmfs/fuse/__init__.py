"""The kernel's door: FUSE requests become calls of ``Drive``."""
