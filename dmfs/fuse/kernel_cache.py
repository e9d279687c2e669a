"""What the kernel caches of the drive, and how it learns that this is over."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence

import pyfuse3

from dmfs.fuse.inode_table import InodeTable
from dmfs.model import Directory
from dmfs.names import printable
from dmfs.system.concurrency import in_thread

log = logging.getLogger(__name__)

NAMES_PUSHED = 10_000
"""Changed names that the kernel is given at once, 20 ms of the loop; only new ones come last. The
kernel believes the rest until their timeout, which is the ttl."""


async def report_size(inode: int) -> None:
    """The real size differs from the listed one: make the kernel ask for attributes again.

    Attributes only: invalidating *data* while a read of the inode is pending deadlocks the daemon
    against the page lock (tried).
    """
    try:
        await in_thread(functools.partial(pyfuse3.invalidate_inode, inode, attr_only=True))
    except OSError as error:
        log.debug("size of inode %d not reported: %s", inode, error)


def push_changes(inodes: InodeTable, directory: Directory, names: Sequence[str]) -> None:
    """Make the kernel forget names that mean something else now.

    By the asynchronous call, in pyfuse3's own thread: on the loop it could wait for a lookup that
    waits for this process.
    """
    parent = inodes.referenced(directory)
    if parent is None:
        return
    if log.isEnabledFor(logging.DEBUG):
        for name in names:
            log.debug("changed: %s/%s", inodes.path(parent).rstrip("/"), printable(name))
    for name in names[:NAMES_PUSHED]:
        pyfuse3.invalidate_entry_async(parent, name.encode(), ignore_enoent=True)
