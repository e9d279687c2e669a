"""A table of mounts for the tests alone."""

from __future__ import annotations

import ctypes
import os

_CLONE_NEWNS = 0x20000
_MS_SLAVE_OF_ALL = (1 << 19) | 0x4000  # MS_SLAVE | MS_REC


def leave_the_machines_mounts() -> None:
    """Give this process, and all that it starts, mounts of their own, where this user may.

    A drive serves as long as it is mounted anywhere, and who makes a mount namespace (a container,
    ``unshare``, scripts/debian13) gets a copy of each mount that is there. Two runs of the suite
    failed so: a drive was unmounted and did not end, for a Debian 13 had been started beside it in
    that second. What is mounted here from now on nobody else sees, and so nobody copies. (What a
    run that was killed has left, nobody else can unmount: it ends with its process.)
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(_CLONE_NEWNS) != 0:
        return
    # what the machine mounts and unmounts still shows here
    if libc.mount(b"none", b"/", None, _MS_SLAVE_OF_ALL, None) != 0:
        raise OSError(ctypes.get_errno(), "mounts of the tests' own would show everywhere")
