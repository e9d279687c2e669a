"""A mount by a descriptor of /dev/fuse that somebody else has mounted."""
