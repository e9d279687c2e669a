"""Locks between processes: one lock for each byte of a lock file."""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import trio

from dmfs.system.disk_threads import DiskThreads
from dmfs.system.mountinfo import filesystem_of
from dmfs.system.private_files import private_directory

POLL_FIRST_S = 0.01
POLL_MAX_S = 0.1
"""Wait between two tries for a lock of another process. Its holder needs about 0.5 s."""
LOCAL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "zfs", "f2fs", "overlay"})
"""Filesystems that lock a byte in the kernel's memory. On others (NFS, FUSE) the call asks a server
that may hang, so it must not run on the loop."""
_FLOCK = struct.Struct("hhqqi4x")
"""struct flock of 64-bit Linux."""


class ByteLocks:
    """Locks that belong to this object, not to its process: a process may have two of them."""

    def __init__(self, path: Path, threads: DiskThreads) -> None:
        """The first use creates the file ``path`` and its directory; calls that may block run in
        ``threads``."""
        self._path = path
        self._threads = threads
        self._fd = -1
        self._local = False
        self._opening = threading.Lock()
        """Two threads that open it at once would lock in one file and unlock in another."""

    def close(self) -> None:
        """Call only when no task holds a lock or waits for one."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    @asynccontextmanager
    async def lock(self, offset: int) -> AsyncIterator[None]:
        """Lock the byte at ``offset`` during the body; the wait is cancellable.

        On a filesystem without locks, or on a disk that fails, the body runs without a lock.
        """
        locked = await self._acquire(offset)
        try:
            yield
        finally:
            if locked:
                with trio.CancelScope(shield=True):
                    await self._request(fcntl.F_UNLCK, offset)

    async def _acquire(self, offset: int) -> bool:
        wait_s = POLL_FIRST_S
        while True:
            taken = await self._request(fcntl.F_WRLCK, offset)
            if taken is not False:
                return taken is True
            await trio.sleep(wait_s)
            wait_s = min(wait_s * 2, POLL_MAX_S)

    async def _request(self, kind: int, offset: int) -> bool | None:
        if self._local:  # without its two thread hops a listing takes 0.2 ms instead of 0.3
            return self._request_now(kind, offset)
        try:
            return await self._threads.run(
                partial(self._request_now, kind, offset),
                lambda taken: taken and self._request_now(fcntl.F_UNLCK, offset),
            )
        except OSError:
            return None

    def _request_now(self, kind: int, offset: int) -> bool | None:
        """True: done; False: another process has the lock; None: this filesystem has no locks."""
        try:
            self._open()
            request = _FLOCK.pack(kind, os.SEEK_SET, offset, 1, 0)
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, request)
        except OSError as error:
            return False if error.errno in (errno.EAGAIN, errno.EACCES) else None
        return True

    def _open(self) -> None:
        if self._fd >= 0:
            return
        with self._opening:
            if self._fd < 0:
                private_directory(self._path.parent)
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                descriptor = os.open(self._path, flags, 0o600)
                self._local = filesystem_of(descriptor) in LOCAL
                self._fd = descriptor
