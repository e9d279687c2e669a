"""What happened to the names of a folder, by whom, and how it is written down. Pure."""
