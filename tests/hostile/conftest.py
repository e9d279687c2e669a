"""Real mounts for the hostile tests: the same fixtures as tests/mount has."""

from __future__ import annotations

from tests.mount.conftest import calm, emulator, make_drive, world_spec

__all__ = ["calm", "emulator", "make_drive", "world_spec"]
