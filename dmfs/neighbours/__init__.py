"""Programs of the desktop that open all they see, and what they may cost."""
