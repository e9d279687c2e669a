"""What may be typed next, for bash, zsh and fish: never a call to the service."""
