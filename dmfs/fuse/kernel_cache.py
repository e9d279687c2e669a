"""What the kernel caches of the drive, and how it learns that this is over."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pyfuse3
import trio

from dmfs.fuse.inode_table import InodeTable
from dmfs.fuse.push.pusher import Pusher
from dmfs.model import Directory
from dmfs.names import printable
from dmfs.system.concurrency import in_thread

log = logging.getLogger(__name__)

NAMES_PUSHED = 10_000
"""Changed names that the kernel is given at once, 20 ms of the loop; only new ones come last. The
kernel believes the rest until their timeout, which is the ttl."""

ARRIVAL_S = 5.0
"""So long the end of a command waits for the kernel, which takes a name once no lookup, unlink or
rename in its directory is under way."""


async def report_size(inode: int) -> None:
    """The real size differs from the listed one: make the kernel ask for attributes again.

    Attributes only: invalidating *data* while a read of the inode is pending deadlocks the daemon
    against the page lock (tried).
    """
    try:
        await in_thread(functools.partial(pyfuse3.invalidate_inode, inode, attr_only=True))
    except OSError as error:
        log.debug("size of inode %d not reported: %s", inode, error)


Push = Callable[[int, bytes], None]
"""Makes the kernel forget a name in the directory of a number."""


def push_here(parent: int, name: bytes) -> None:
    """By the asynchronous call, in pyfuse3's own thread: on the loop it could wait for a lookup
    that waits for this process. Where there is a ``Pusher``, that is better."""
    pyfuse3.invalidate_entry_async(parent, name, ignore_enoent=True)


def push_changes(
    inodes: InodeTable, directory: Directory, names: Sequence[str], push: Push = push_here
) -> None:
    """Make the kernel forget names that mean something else now."""
    parent = inodes.referenced(directory)
    if parent is None:
        return
    if log.isEnabledFor(logging.DEBUG):
        for name in names:
            log.debug("changed: %s/%s", inodes.path(parent).rstrip("/"), printable(name))
    for name in names[:NAMES_PUSHED]:
        push(parent, name.encode())


class Arrivals:
    """When the kernel has taken what was pushed. (``dmfs refresh`` had ended, and the next read
    still gave the bytes of before.)"""

    def __init__(self, pusher: Pusher) -> None:
        self._pusher = pusher
        self._turn = trio.Lock()  # one task at a time may wait for a descriptor

    async def wait(self) -> None:
        """Until it has all that was pushed so far, or for ``ARRIVAL_S``."""
        pusher = self._pusher
        mark = pusher.mark()
        with contextlib.suppress(trio.ClosedResourceError), trio.move_on_after(ARRIVAL_S):
            async with self._turn:
                while not pusher.has_passed(mark):
                    await trio.lowlevel.wait_readable(pusher.marks)

    def close(self) -> None:
        """Nobody waits any more; before the pusher is closed."""
        if self._pusher.marks >= 0:
            trio.lowlevel.notify_closing(self._pusher.marks)


class LatePushes:
    """Pushes that wait while a name of their directory is being changed.

    The kernel takes such a push under the lock that a pending unlink or rename holds: those that
    come after it would wait with it. Without a ``Pusher`` a kill just then hangs the mount for good
    (see ``push.helper``).
    """

    def __init__(self, inodes: InodeTable, push: Push = push_here) -> None:
        self._inodes, self._push = inodes, push
        self._changing: Counter[int] = Counter()
        self._late: dict[int, list[tuple[Directory, Sequence[str]]]] = {}

    def push(self, directory: Directory, names: Sequence[str]) -> None:
        """As ``push_changes``, now or a moment later."""
        parent = self._inodes.referenced(directory)
        if parent is not None and self._changing[parent]:
            self._late.setdefault(parent, []).append((directory, names))
        else:
            push_changes(self._inodes, directory, names, self._push)

    @contextlib.contextmanager
    def held(self, *parents: int) -> Iterator[None]:
        """During a request that changes names in these directories."""
        self._changing.update(parents)
        try:
            yield
        finally:
            self._changing.subtract(parents)
            for parent in parents:
                if self._changing[parent] <= 0:
                    del self._changing[parent]
                    for directory, names in self._late.pop(parent, ()):
                        push_changes(self._inodes, directory, names, self._push)
