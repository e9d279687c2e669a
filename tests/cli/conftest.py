"""Fixtures of the command line's tests: those of real mounts, which run the same command."""

from tests.mount.conftest import (  # noqa: F401 - fixtures that tests name as arguments
    calm,
    drive,
    drive_config,
    emulator,
    home,
    world_spec,
)
