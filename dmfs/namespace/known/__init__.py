"""What the listings know all together, in memory and on disk."""
