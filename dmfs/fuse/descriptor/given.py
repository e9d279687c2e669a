"""``dmfs mount SOURCE /dev/fd/N``: a descriptor of ``/dev/fuse`` that somebody else has mounted.

Who opened it has done what needs privileges, and unmounts in the end; we answer the kernel. The
mount may be in another mount namespace, where nothing of it is seen from here.
"""

from __future__ import annotations

import os
import re
import select
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dmfs.errors import SetupError, UsageError
from dmfs.system.mountinfo import Mount, mount_table

PREFIX = "/dev/fd/"
MOUNTED_AT = "DMFS_MOUNTPOINT"
"""Environment: where the opener has mounted it, for kernels that do not say."""
FUSE_DEVICE = os.makedev(10, 229)
_NUMBER = re.compile(r"0|[1-9][0-9]{0,6}", re.ASCII)
_CONNECTION = re.compile(r"^fuse_connection:\s*(\d+)$", re.MULTILINE | re.ASCII)
_OPENER = "let whoever opened it mount it first; dmfs-mountfd MOUNTPOINT -- dmfs mount … does both"


@dataclass(frozen=True, slots=True)
class Given:
    """A descriptor to serve."""

    number: int
    mount: Mount | None
    """The row of our table of mounts; None where it is mounted in another namespace, or the kernel
    (an older one) does not say which one it is."""

    @property
    def name(self) -> str:
        """As libfuse takes it for a mountpoint."""
        return f"{PREFIX}{self.number}"

    @property
    def place(self) -> str:
        """Where the drive is seen, for people and for the card: the mountpoint, if it is known."""
        return self.name if self.mount is None else self.mount.mountpoint


def number_of(mountpoint: str) -> int:
    """3 for ``/dev/fd/3``. UsageError for ``/dev/fd/x``."""
    word = mountpoint.removeprefix(PREFIX)
    if not _NUMBER.fullmatch(word):
        raise UsageError(
            f"{mountpoint} names no descriptor", hint="a number belongs there: /dev/fd/3"
        )
    return int(word)


def take(number: int, environ: Mapping[str, str]) -> Given:
    """Check the descriptor, and find its mount. SetupError says what is wrong with it."""
    check(number)
    os.set_inheritable(number, False)  # a child that had it would keep a dead drive alive
    known = connection_of(number)
    return Given(number, mount_of(known, environ.get(MOUNTED_AT, ""), mount_table()))


def check(number: int) -> None:
    """SetupError unless it is an open descriptor of ``/dev/fuse`` that is mounted and that nobody
    has served. Takes no request."""
    name = f"{PREFIX}{number}"
    try:
        status = os.fstat(number)
    except OSError:
        raise SetupError(f"{name} is not open", hint="who starts dmfs has to pass it on") from None
    if not stat.S_ISCHR(status.st_mode) or status.st_rdev != FUSE_DEVICE:
        raise SetupError(f"{name} is not a descriptor of /dev/fuse", hint=_OPENER)
    poll = select.poll()
    poll.register(number, select.POLLIN)
    events = sum(event for _, event in poll.poll(0))
    if events & (select.POLLERR | select.POLLHUP):
        raise SetupError(f"{name} is not mounted, or not any more", hint=_OPENER)
    if not events & select.POLLIN:  # the kernel's first request is there from mount(2) on
        raise served_before(name)


def served_before(name: str) -> SetupError:
    """A mount greets its process once; nobody can go on for another one."""
    return SetupError(
        f"{name} has been served by another process already",
        hint="unmount it, open and mount a new one",
    )


def connection_of(number: int) -> int | None:
    """The minor number of the device that files of its mount are on; None before it is mounted,
    and from a kernel that does not say."""
    try:
        found = _CONNECTION.search(Path(f"/proc/self/fdinfo/{number}").read_text("ascii"))
    except (OSError, ValueError):
        return None
    return int(found[1]) if found else None


def mount_of(connection: int | None, said: str, table: Iterable[Mount]) -> Mount | None:
    """The row of a connection, else of the FUSE mount at the place that the opener named. Of
    several places (bind mounts) the first. Pure."""
    rows = [row for row in table if row.is_fuse]
    if connection is not None:
        device = f"{connection >> 20}:{connection & 0xFFFFF}"
        return next((row for row in rows if row.device == device), None)
    return next((row for row in reversed(rows) if row.mountpoint == said), None)


def refuse_contradictions(given: Given, *, writes: bool, shared_identity: bool) -> None:
    """SetupError for options of the drive that the mount does not go with, as far as it is seen."""
    options = given.mount.options if given.mount is not None else frozenset()
    if writes and "ro" in options:
        raise SetupError(
            f"{given.place} is mounted read-only: -o rw changes nothing there",
            hint="dmfs-mountfd -o rw mounts for writing",
        )
    if writes and "allow_other" in options and not shared_identity:
        raise UsageError(
            f"{given.place} is mounted with allow_other: others would write in your name",
            hint="say -o shared_identity too if that is what you want",
        )


def stored_as(environ: Mapping[str, str], pid: int, number: int) -> str:
    """The name under which the service manager stores the descriptor for us; '' if it does not.
    Pure."""
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(pid) or not _NUMBER.fullmatch(count):
        return ""
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    at = number - 3
    return names[at] if 0 <= at < min(int(count), len(names)) else ""
