"""Texts that ``dmfs help`` prints."""
