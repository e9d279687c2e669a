"""The bytes of one storage object at rest: a sparse file, read and written past the page cache.
Floor 2.

The kernel keeps what it gave to readers in the page cache of the mounted file. Keeping the same
bytes a second time, as pages of the cache file, costs more than fetching them: 1 GiB written
through the page cache took 2.1 CPU-s on a virtual machine that hands free pages back to its host,
past it 0.04. So large stretches are written and read with O_DIRECT where the filesystem has it;
small ones, whose pages are worth having, and what the caller wants off its hands, are not.
"""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

DIRECT_FROM_BYTES = 512 * 1024
"""Below that a disk's turn costs more than the copy."""
ALIGNED = 4096
"""Offsets, lengths and memory of a direct transfer: multiples of this suit every disk."""


class DataFile:
    """An open file, held by a shared flock until ``close``. Raises OSError."""

    def __init__(self, path: Path, create: int) -> None:
        if create:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_RDWR | create | os.O_CLOEXEC | os.O_NOFOLLOW
        self.fd = os.open(path, flags, 0o600)
        self._direct_fd = -1
        self._may_direct = hasattr(os, "O_DIRECT")
        fcntl.flock(self.fd, fcntl.LOCK_SH)

    def close(self) -> None:
        os.close(self.fd)
        if self._direct_fd >= 0:
            os.close(self._direct_fd)
        self.fd = self._direct_fd = -1

    def write(self, data: memoryview, offset: int, *, direct: bool) -> None:
        """All of ``data``; ``offset`` is a block's. Direct only what lies on a page's edge."""
        if direct and len(data) >= DIRECT_FROM_BYTES:
            whole = len(data) - len(data) % ALIGNED
            done = self._write_direct(data[:whole], offset)
            data, offset = data[done:], offset + done
        while data:
            count = os.pwrite(self.fd, data, offset)
            data, offset = data[count:], offset + count

    def read(self, buffer: memoryview, length: int, offset: int) -> int:
        """The first ``length`` bytes of ``buffer`` from ``offset`` (a block's); how many came.

        Where ``buffer`` is longer than that, bytes beyond may be overwritten.
        """
        padded = -(-length // ALIGNED) * ALIGNED
        if length >= DIRECT_FROM_BYTES and padded <= len(buffer):
            count = self._read_direct(buffer[:padded], offset)
            if count is not None:
                return min(count, length)
        return os.preadv(self.fd, [buffer[:length]], offset)

    def _write_direct(self, data: memoryview, offset: int) -> int:
        """How many bytes are written; 0 where that is impossible."""
        done = 0
        try:
            while done < len(data) and self._may_direct:
                count = os.pwrite(self._direct(), data[done:], offset + done)
                done += count
                if count % ALIGNED:
                    break  # a disk about to be full: the rest meets its error below
        except OSError as error:
            self._refused(error)
        return done

    def _read_direct(self, buffer: memoryview, offset: int) -> int | None:
        """How many bytes came; None where that is impossible."""
        if not self._may_direct:
            return None
        try:
            return os.preadv(self._direct(), [buffer], offset)
        except OSError as error:
            self._refused(error)
            return None

    def _direct(self) -> int:
        if self._direct_fd < 0:
            # the same file, whatever became of its name
            flags = os.O_RDWR | os.O_DIRECT | os.O_CLOEXEC
            self._direct_fd = os.open(f"/proc/self/fd/{self.fd}", flags)
        return self._direct_fd

    def _refused(self, error: OSError) -> None:
        """EINVAL: the filesystem has no O_DIRECT, or wants other edges. Others are the caller's."""
        if error.errno != errno.EINVAL:
            raise error
        self._may_direct = False
