"""What changes the drive, for programs without a mount: by the same spool and uploads."""
