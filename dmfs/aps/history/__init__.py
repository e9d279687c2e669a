"""What items were before: versions below their newest one."""
