"""The bytes of one storage object at rest: a sparse file, read and written past the page cache.

The kernel keeps what it gave to readers in the page cache of the mounted file. Keeping the same
bytes a second time, as pages of the cache file, costs more than fetching them: 1 GiB written
through the page cache took 2.1 CPU-s on a virtual machine that hands free pages back to its host,
past it 0.04. So large stretches are written and read with O_DIRECT where the filesystem has it;
small ones, whose pages are worth having, are not, nor are writes while the disk cannot keep up.
"""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

DIRECT_FROM_BYTES = 512 * 1024
"""Below that a disk's turn costs more than the copy."""
ALIGNED = 4096
"""Offsets, lengths and memory of a direct transfer: multiples of this suit every disk."""
PATIENT_BYTES = 64 * 1024 * 1024
"""While no more than that waits to be written, the disk keeps up: a third of the memory budget."""
COUNTS_FROM_BYTES = 1024 * 1024
"""The time of a small write is that of its transaction, not of the disk."""
WORTH_IT = 2.0
"""How much faster the page cache must be: it costs more, and each direct write under way counts
only its own share of the disk."""
WEIGHT = 0.2
"""Of the newest figure: a handful of writes decides, one hiccup does not."""


class DirectIoPolicy:
    """Whether the next write goes past the page cache or through it. Pure.

    Past it is cheaper, but takes as long as the disk takes. Through it may be faster, as long as
    the kernel has room for dirty pages; on a virtual machine that hands free pages back to its host
    it is not even that (0.4 against 2 GB/s). So while the disk keeps up nothing else is tried; when
    writes pile up, the faster of the two is taken: memory is wanted for what comes next.

    A single write tries the page cache. When all that had piled up tried it at once, 10 to 70 MiB
    of each stream's first half second went through it, at 24 to 55 ms a part where the disk took 6.
    """

    def __init__(self) -> None:
        self._bytes_per_s: dict[bool, float] = {}
        self._tried = False
        """Whether a write was sent through the page cache; it may be under way, or have failed."""

    def begin(self, size_bytes: int, waiting_bytes: int) -> bool:
        """Whether a write that begins now goes past the page cache; ``waiting_bytes`` are to be
        written, this write included."""
        if waiting_bytes <= PATIENT_BYTES or size_bytes < COUNTS_FROM_BYTES:
            return True
        cached = self._bytes_per_s.get(False)
        if cached is not None:
            return self._bytes_per_s.get(True, 0.0) * WORTH_IT >= cached
        trial, self._tried = not self._tried, True
        return not trial

    def record(self, size_bytes: int, duration_s: float, *, direct: bool) -> None:
        """A write is done."""
        if size_bytes < COUNTS_FROM_BYTES or duration_s <= 0:
            return
        rate = size_bytes / duration_s
        before = self._bytes_per_s.get(direct, rate)
        self._bytes_per_s[direct] = before + WEIGHT * (rate - before)


class SparseFile:
    """An open file, held by a shared flock until ``close``. Raises OSError; FileNotFoundError also
    for one that an eviction holds: who waited for it would wait for the disk.

    A call that hangs is given up by who waits for it, and then the object is released. So a call
    under way keeps the file open: by the time the disk is back its number would be another file's,
    and what was meant for this one be written into that.
    """

    def __init__(self, path: Path, create: int) -> None:
        flags = create | os.O_CLOEXEC | os.O_NOFOLLOW
        self.writable = True
        """False on a disk that has become read-only: what is there can be read."""
        try:
            self.fd = _open(path, os.O_RDWR | flags)
        except OSError as error:
            if create or error.errno != errno.EROFS:
                raise
            self.fd = os.open(path, os.O_RDONLY | flags)
            self.writable = False
        self._direct_fd = -1
        self._may_direct = hasattr(os, "O_DIRECT")
        self._lock = threading.Lock()
        """Of the descriptors, and of the two below."""
        self._calls = 0
        self._closed = False
        try:
            fcntl.flock(self.fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.fd)
            raise FileNotFoundError(errno.ENOENT, "it is just being evicted") from None
        except BaseException:
            os.close(self.fd)
            raise

    def close(self) -> None:
        """Let go of the file, now or when the calls under way have ended."""
        with self._lock:
            self._closed = True
            numbers = self._given_up()
        _close_all(numbers)

    def peek(self, buffer: bytearray, offset: int, flags: int) -> int:
        """``preadv`` with ``flags`` that forbid to wait, so under the lock: that costs a random
        reader 0.7 µs, ``_open_fd`` 2.8. EBADF after ``close``."""
        with self._lock:
            return os.preadv(self.fd, [buffer], offset, flags)

    @contextmanager
    def _open_fd(self) -> Iterator[int]:
        """The descriptor, which stays this file's meanwhile. EBADF after ``close``."""
        with self._lock:
            if self._closed:
                raise OSError(errno.EBADF, "the object was closed")
            self._calls += 1
        try:
            yield self.fd
        finally:
            with self._lock:
                self._calls -= 1
                numbers = self._given_up()
            _close_all(numbers)

    def _given_up(self) -> list[int]:
        if not self._closed or self._calls:
            return []
        numbers = [self.fd, self._direct_fd]
        self.fd = self._direct_fd = -1
        return numbers

    def write(self, data: memoryview, offset: int, *, direct: bool) -> None:
        """All of ``data``; ``offset`` is a block's. Direct only what lies on a page's edge."""
        with self._open_fd() as fd:
            if direct and len(data) >= DIRECT_FROM_BYTES:
                whole = len(data) - len(data) % ALIGNED
                done = self._write_direct(data[:whole], offset)
                data, offset = data[done:], offset + done
            while data:
                count = os.pwrite(fd, data, offset)
                data, offset = data[count:], offset + count

    def read(self, buffer: memoryview, length: int, offset: int) -> int:
        """The first ``length`` bytes of ``buffer`` from ``offset`` (a block's); how many came.

        Where ``buffer`` is longer than that, bytes beyond may be overwritten.
        """
        padded = -(-length // ALIGNED) * ALIGNED
        with self._open_fd() as fd:
            if length >= DIRECT_FROM_BYTES and padded <= len(buffer):
                count = self._read_direct(buffer[:padded], offset)
                if count is not None:
                    return min(count, length)
            return os.preadv(fd, [buffer[:length]], offset)

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
            mode = os.O_RDWR if self.writable else os.O_RDONLY
            flags = mode | os.O_DIRECT | os.O_CLOEXEC
            number = os.open(f"/proc/self/fd/{self.fd}", flags)
            with self._lock:  # not held above: that is a call to the disk
                if self._direct_fd < 0:
                    self._direct_fd, number = number, -1
            _close_all([number])
        return self._direct_fd

    def _refused(self, error: OSError) -> None:
        """EINVAL: the filesystem has no O_DIRECT, or wants other edges; EROFS: it has become
        read-only since the file was opened. Others are the caller's."""
        if error.errno not in (errno.EINVAL, errno.EROFS):
            raise error
        self._may_direct = False


def _close_all(numbers: Iterable[int]) -> None:
    for number in numbers:
        if number >= 0:
            os.close(number)


def _open(path: Path, flags: int) -> int:
    """Open; make the directory (one of 256) only if it is missing, not for each file."""
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        if not flags & os.O_CREAT:
            raise
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.open(path, flags, 0o600)
