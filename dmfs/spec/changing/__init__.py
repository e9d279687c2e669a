"""What changes the drive: files that are written, names, and the wait until the service has it."""
