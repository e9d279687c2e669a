"""Blocks at rest: sparse files and their index. Blocking, no trio."""
