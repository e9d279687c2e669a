"""``dmfs versions``: what a file was."""
