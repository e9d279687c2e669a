"""The emulator's endpoints that change something."""
