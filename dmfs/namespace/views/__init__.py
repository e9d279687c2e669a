"""Directories that are made of versions, out of what is listed: pure functions, and what asks."""
