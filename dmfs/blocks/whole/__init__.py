"""Whole objects on disk, for who will read them later."""
