"""Names: the listings of folders, in memory and on disk, and when they are refreshed."""
