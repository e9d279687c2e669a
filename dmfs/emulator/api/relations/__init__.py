"""Relations between files, and whether cloud models are published."""
