"""The emulator's OAuth server."""
