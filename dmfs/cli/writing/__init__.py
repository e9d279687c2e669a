"""Commands that change the drive, and those that show what waits to go up."""
