"""Fixtures of the control plane's tests: those of real mounts."""

from tests.mount.conftest import (  # noqa: F401 - fixtures that tests name as arguments
    calm,
    drive,
    drive_config,
    emulator,
    home,
    make_drive,
    world_spec,
)
