"""Long work on a drive that a person starts: over the control socket, or without a mount."""
