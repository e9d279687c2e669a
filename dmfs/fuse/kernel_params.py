"""Kernel parameters of a mount: raised where permitted, never needed for correctness.

A FUSE filesystem can only lower the kernel's 128 KiB of read-ahead while mounting; root can raise
it afterwards, and a stream then makes fewer and larger requests (with 1 MiB, served from memory,
3.3 instead of 1.5 GB/s). But the kernel requests all that it reads ahead: with 1 MiB a program
that reads 260 KiB causes requests for 2 MiB, with 512 KiB for 0.9; and every page fault of an
mmap reads that much around itself.
"""

from __future__ import annotations

import errno
import logging
from pathlib import Path

from dmfs.system.mountinfo import mount_at

log = logging.getLogger(__name__)

READ_AHEAD_KB = 512
MAX_BACKGROUND = 64
"""Read-ahead requests under way at once (12 by default): 32 files went from 65 to 99 Gbit/s in
mountpoint-s3."""
CONGESTION_THRESHOLD = 48


def parameter_paths(mountpoint: str) -> dict[str, Path]:
    """Name → file in /sys of each parameter of a mounted drive. FileNotFoundError if nothing is
    mounted there. Asks the drive nothing."""
    mount = mount_at(mountpoint)
    if mount is None:
        raise FileNotFoundError(errno.ENOENT, "nothing is mounted there", mountpoint)
    number = mount.device
    connection = Path("/sys/fs/fuse/connections", number.partition(":")[2])
    return {
        "read_ahead_kb": Path("/sys/class/bdi", number, "read_ahead_kb"),
        "max_background": connection / "max_background",
        "congestion_threshold": connection / "congestion_threshold",
    }


def raise_parameters(mountpoint: str) -> dict[str, int]:
    """Raise each parameter that this process may write (as a rule only root); the values in force
    afterwards. Never raises an error."""
    wanted = {
        "read_ahead_kb": READ_AHEAD_KB,
        "max_background": MAX_BACKGROUND,
        "congestion_threshold": CONGESTION_THRESHOLD,
    }
    values: dict[str, int] = {}
    try:
        paths = parameter_paths(mountpoint)
    except OSError:
        return values
    for name, path in paths.items():
        try:
            values[name] = int(path.read_text())
            if values[name] < wanted[name]:
                path.write_text(str(wanted[name]))
                values[name] = int(path.read_text())
        except (OSError, ValueError):
            continue  # absent (fusectl is not mounted), or not writable for this user
    log.info("kernel: %s", ", ".join(f"{name} {value}" for name, value in values.items()))
    return values
