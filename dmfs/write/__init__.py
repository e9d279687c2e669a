"""Writing: what is written is safe on this machine first, then goes up as one version."""
