"""Mounting by descriptor: somebody with the right to mount opens and mounts, we only serve."""
