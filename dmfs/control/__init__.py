"""The control socket of a mount: its server, and who asks it."""
