"""Kernel knobs of a mount: raised where we may, never needed for correctness. Floor 4.

A FUSE filesystem can only lower the kernel's 128 KiB of readahead while mounting; root can raise
it afterwards, and a stream then makes fewer and larger requests (with 1 MiB, served from memory,
3.3 instead of 1.5 GB/s). But the kernel really asks for what it reads ahead: with 1 MiB a program
that reads 260 KiB makes it ask for 2 MiB, with 512 KiB for 0.9; and every page fault of an mmap
reads so much around itself.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

log = logging.getLogger(__name__)

READ_AHEAD_KB = 512
MAX_BACKGROUND = 64
"""Requests of readahead under way at once (12 by default): 32 files went from 65 to 99 Gbit/s in
mountpoint-s3."""
CONGESTION_THRESHOLD = 48


def knob_paths(mountpoint: str) -> dict[str, Path]:
    """Where the kernel keeps the knobs of a mounted drive."""
    device = Path(mountpoint).stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    connection = Path("/sys/fs/fuse/connections", str(os.minor(device)))
    return {
        "read_ahead_kb": Path("/sys/class/bdi", number, "read_ahead_kb"),
        "max_background": connection / "max_background",
        "congestion_threshold": connection / "congestion_threshold",
    }


def raise_knobs(mountpoint: str) -> dict[str, int]:
    """Raise what may be raised (as a rule: by root); the values that hold now. Never raises."""
    wanted = {
        "read_ahead_kb": READ_AHEAD_KB,
        "max_background": MAX_BACKGROUND,
        "congestion_threshold": CONGESTION_THRESHOLD,
    }
    values: dict[str, int] = {}
    try:
        paths = knob_paths(mountpoint)
    except OSError:
        return values
    for name, path in paths.items():
        try:
            values[name] = int(path.read_text())
            if values[name] < wanted[name]:
                path.write_text(str(wanted[name]))
                values[name] = int(path.read_text())
        except (OSError, ValueError):
            continue  # not there (fusectl is not mounted), or not ours to write
    log.info("kernel: %s", ", ".join(f"{name} {value}" for name, value in values.items()))
    return values
