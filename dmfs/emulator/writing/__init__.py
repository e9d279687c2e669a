"""What the emulator knows about writing: uploads in the making, who did what, what went wrong."""
