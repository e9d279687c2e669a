"""The kernel's table of mounts. Reading it touches no mountpoint: a stat of one may hang."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mount:
    """One row of ``/proc/self/mountinfo`` (proc(5)), as far as dmfs uses it."""

    device: str
    """``major:minor`` of files on it."""
    mountpoint: str
    kind: str
    """Filesystem type, such as ``ext4`` or ``fuse.dmfs``."""
    source: str


def mount_table() -> list[Mount]:
    """All mounts of this process's mount namespace, in the kernel's order: a later row hides an
    earlier one at the same mountpoint."""
    text = Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape")
    rows = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) > 4 and kinds:
            source = _unescape(kinds[1]) if len(kinds) > 1 else ""
            rows.append(Mount(fields[2], _unescape(fields[4]), kinds[0], source))
    return rows


def filesystem_of(descriptor: int) -> str:
    """The filesystem type of an open file; '' if the kernel gives none."""
    status = os.fstat(descriptor)
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    return next((mount.kind for mount in mount_table() if mount.device == device), "")


def _unescape(field: str) -> str:
    """Decode the octal escapes that the kernel writes for blanks and backslashes."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), field)
