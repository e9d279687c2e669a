"""The kernel's table of mounts."""

from __future__ import annotations

import os

from dmfs.system.mountinfo import filesystem_of


def test_a_filesystem_is_known_by_its_name() -> None:
    fd = os.open("/proc", os.O_RDONLY)
    try:
        assert filesystem_of(fd) == "proc"
    finally:
        os.close(fd)
