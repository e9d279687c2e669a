"""The endpoint of pictures."""
