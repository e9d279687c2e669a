"""The commands that show what mounts do, and steer them."""
