"""A table of mounts for the tests alone, and their files in memory."""

from __future__ import annotations

import ctypes
import os
import tempfile
from pathlib import Path

_CLONE_NEWNS = 0x20000
_MS_SLAVE_OF_ALL = (1 << 19) | 0x4000  # MS_SLAVE | MS_REC
ROOM_BYTES = 8 << 30
"""The whole suite takes less than half of it at any time."""
IN_MEMORY = "TESTS_IN_MEMORY"
"""In the environment: whether to keep them there. ``scripts/test`` says so for the whole suite; of
a single test that fails a person may want to look at the files."""


def leave_the_machines_mounts() -> bool:
    """Give this process, and all that it starts, mounts of their own, where this user may; whether
    it may.

    A drive serves as long as it is mounted anywhere, and who makes a mount namespace (a container,
    ``unshare``, scripts/debian13) gets a copy of each mount that is there. Two runs of the suite
    failed so: a drive was unmounted and did not end, for a Debian 13 had been started beside it in
    that second. What is mounted here from now on nobody else sees, and so nobody copies. (What a
    run that was killed has left, nobody else can unmount: it ends with its process.)
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() != 0 or libc.unshare(_CLONE_NEWNS) != 0:
        return False
    # what the machine mounts and unmounts still shows here
    if libc.mount(b"none", b"/", None, _MS_SLAVE_OF_ALL, None) != 0:
        raise OSError(ctypes.get_errno(), "mounts of the tests' own would show everywhere")
    return True


def keep_files_in_memory() -> str:
    """After ``leave_the_machines_mounts``: what tests write from now on goes with this process.
    Where the files lie, and why, in a line.

    They sync as often as the product does (14 ms here; tests/write/spool and upload took 214 s, and
    take 52), and none of them cuts the power. A disk of the machine that stands still for seconds
    was taken for a fault, too. (/dev/shm is hidden where a test makes a /dev of its own.)
    """
    root = "PYTEST_DEBUG_TEMPROOT"  # pytest's own
    if root in os.environ:
        return f"in {os.environ[root]}, as {root} says"
    on_disk = f"in {tempfile.gettempdir()}, not in memory: "
    if not os.environ.get(IN_MEMORY):
        return f"{on_disk}{IN_MEMORY} is not set"
    if (free := _free_bytes()) < ROOM_BYTES:
        return f"{on_disk}{free >> 20} MiB are free, {ROOM_BYTES >> 20} are wanted"
    # a short one: Samba's sockets are below, and their paths hold 107 bytes
    place = Path(tempfile.gettempdir()) / "dmfs"
    place.mkdir(exist_ok=True)
    words = f"size={ROOM_BYTES},mode=1777".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tests", os.fsencode(place), b"tmpfs", 0, words) != 0:
        return f"{on_disk}{os.strerror(ctypes.get_errno())}"
    os.environ[root] = str(place)
    return f"in memory, at {place}"


def _free_bytes() -> int:
    rows = Path("/proc/meminfo").read_text("ascii").splitlines()
    return next(int(row.split()[1]) << 10 for row in rows if row.startswith("MemAvailable:"))
