"""The kernel's table of mounts. Reading it touches no mountpoint: a stat of one may hang.

The one parser of it, and on bytes: a name may contain anything but NUL. ``str.split`` takes U+3000
(図面　一覧) and U+00A0 for blanks and ``str.splitlines`` U+2028 for the end of a line; a drive at
such a mountpoint could not be found, nor unmounted.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

FILESYSTEM = "fuse.dmfs"
"""The type of our mounts, and of no others."""
FUSE_KINDS = ("fuse", "fuseblk")
"""Filesystem types of a process; most have a subtype, such as ``fuse.dmfs``."""
_ESCAPE = re.compile(rb"\\([0-7]{3})")
_OWNER = re.compile(rb"(?:^|,)user_id=(\d{1,10})(?:,|$)")
_MOUNTPOINT, _OPTIONAL = 4, 6
"""Places of fields in a row; from the latter on there is any number, up to one that is ``-``."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One row of ``/proc/self/mountinfo`` (proc(5)), as far as dmfs uses it."""

    number: int
    """Of this one mount: another one at the same place has another."""
    device: str
    """``major:minor`` of files on it."""
    mountpoint: str
    """As the file system encoding reads its bytes: what ``os.fspath`` of such a path would be."""
    kind: str
    """Filesystem type, such as ``ext4`` or ``fuse.dmfs``."""
    source: str
    owner: int | None = None
    """The user id whose process answers for a FUSE mount; None for others."""
    options: frozenset[str] = field(default=frozenset(), compare=False)
    """Of the filesystem: ``ro``, ``allow_other``. A remount changes them, and it is the same mount
    still. (One mount of it may be read-only alone: in a service's namespace all are.)"""

    @property
    def is_fuse(self) -> bool:
        """Whether a process answers for it: one that may be stopped, stuck or gone."""
        return self.kind.partition(".")[0] in FUSE_KINDS


def parse_mountinfo(table: bytes) -> list[Mount]:
    """The rows of a mountinfo file in their order; those of an unknown shape are left out. Pure."""
    return [row for line in table.split(b"\n") if (row := _row(line.split(b" "))) is not None]


def _row(fields: list[bytes]) -> Mount | None:
    try:
        kind_at = fields.index(b"-", _OPTIONAL) + 1
        number, kind, source = int(fields[0]), fields[kind_at], fields[kind_at + 1]
    except (ValueError, IndexError):
        return None
    mountpoint = _unescaped(fields[_MOUNTPOINT])
    of_filesystem = fields[kind_at + 2] if len(fields) > kind_at + 2 else b""
    owner = _OWNER.search(of_filesystem)
    options = frozenset(map(_unescaped, of_filesystem.split(b",")))
    return Mount(
        number, _unescaped(fields[2]), mountpoint, _unescaped(kind), _unescaped(source),
        None if owner is None else int(owner[1]), options,
    )  # fmt: skip


def _unescaped(field: bytes) -> str:
    """Decode the octal escapes that the kernel writes for blank, tab, newline, ``\\`` and ``#``."""
    return os.fsdecode(_ESCAPE.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), field))


def mount_table() -> list[Mount]:
    """All mounts of this process's mount namespace, in the kernel's order: a later row hides an
    earlier one at the same mountpoint."""
    return parse_mountinfo(Path("/proc/self/mountinfo").read_bytes())


def mount_at(path: str, table: Iterable[Mount] | None = None) -> Mount | None:
    """The mount that is seen at an absolute path without symbolic links, None if none begins
    there."""
    found = None
    for mount in mount_table() if table is None else table:
        if mount.mountpoint == path:
            found = mount
    return found


def filesystem_of(descriptor: int) -> str:
    """The filesystem type of an open file; '' if the kernel gives none."""
    status = os.fstat(descriptor)
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    return next((mount.kind for mount in mount_table() if mount.device == device), "")
