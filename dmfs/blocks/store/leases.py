"""Who of the processes of a cache fetches what just now, and whether something came since.

    <cache>/fetching        a counter for each class of objects; byte locks far behind them

A fetch locks its blocks, one byte each; the kernel gives them back when the process ends, however
it does. The counter of an object's class moves when bytes of it came to rest, so that who has
looked at the disk before need not look again in vain. Both are hints: without them, or if two
processes write a counter at once, bytes are fetched twice, never wrong ones.

On a filesystem whose locks are a server's affair there are none: the calls run on the loop.
"""

from __future__ import annotations

import errno
import fcntl
import logging
import mmap
import os
import struct
from hashlib import blake2b
from pathlib import Path

from dmfs.model import StorageId
from dmfs.spans import Span
from dmfs.system.byte_locks import LOCAL
from dmfs.system.mountinfo import filesystem_of

log = logging.getLogger(__name__)

NAME = "fetching"
_COUNTERS = 1 << 14
_COUNTER = struct.Struct("=I")
_FILE_BYTES = _COUNTERS * _COUNTER.size
_BLOCK_BITS = 24
_OBJECT_BITS = 38
_FLOCK = struct.Struct("hhqqi4x")
"""struct flock of 64-bit Linux."""


class Leases:
    """One for each process and cache. Nothing here waits: for the loop."""

    def __init__(self, directory: Path) -> None:
        """OSError; also where locks would be a server's affair."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        self._fd = os.open(directory / NAME, flags, 0o600)
        try:
            if filesystem_of(self._fd) not in LOCAL:
                raise OSError(errno.ENOLCK, "no locks of this machine's", str(directory))
            if os.fstat(self._fd).st_size < _FILE_BYTES:
                os.posix_fallocate(self._fd, 0, _FILE_BYTES)  # a hole on a full disk is a SIGBUS
            self._counters = mmap.mmap(self._fd, _FILE_BYTES)
        except BaseException:
            os.close(self._fd)
            raise

    def close(self) -> None:
        """Gives back all that is locked."""
        if self._fd >= 0:
            self._counters.close()
            os.close(self._fd)
            self._fd = -1

    def count(self, storage_id: StorageId) -> int:
        """Another number than before, if bytes of this object (or of its class) came to rest."""
        if self._fd < 0:
            return 0
        found: int = _COUNTER.unpack_from(self._counters, _place(storage_id))[0]
        return found

    def came(self, storage_id: StorageId) -> None:
        """Bytes of it are at rest now."""
        if self._fd >= 0:
            now = (self.count(storage_id) + 1) & 0xFFFF_FFFF
            _COUNTER.pack_into(self._counters, _place(storage_id), now)

    def take(self, storage_id: StorageId, blocks: Span) -> bool:
        """False if another process fetches some of these blocks; nothing is locked then."""
        return self._lock(fcntl.F_WRLCK, storage_id, blocks)

    def give_back(self, storage_id: StorageId, blocks: Span) -> None:
        self._lock(fcntl.F_UNLCK, storage_id, blocks)

    def _lock(self, kind: int, storage_id: StorageId, blocks: Span) -> bool:
        if self._fd < 0:
            return True
        first = _hash(storage_id) >> (64 - _OBJECT_BITS) << _BLOCK_BITS
        request = _FLOCK.pack(kind, os.SEEK_SET, first + blocks.start, blocks.length, 0)
        try:
            fcntl.fcntl(self._fd, fcntl.F_OFD_SETLK, request)
        except OSError as error:
            return error.errno not in (errno.EAGAIN, errno.EACCES)
        return True


def _hash(storage_id: StorageId) -> int:
    return int.from_bytes(blake2b(storage_id.encode(), digest_size=8).digest(), "big")


def _place(storage_id: StorageId) -> int:
    return _hash(storage_id) % _COUNTERS * _COUNTER.size


def open_leases(directory: Path) -> Leases | None:
    """None where there can be none."""
    try:
        return Leases(directory)
    except (OSError, ValueError) as error:
        log.debug("what other processes fetch is not known here: %s", error)
        return None
