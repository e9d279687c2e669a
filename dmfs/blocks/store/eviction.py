"""Room in the block store: least recently used objects go, never one that is open.

All methods block, and run under the index's lock, inside a transaction.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from dmfs.blocks.store.index import Index


class Evictor:
    """The limit of the cache and the share of the disk that stays free; the data files' places."""

    def __init__(
        self, directory: Path, index: Index, *, limit_bytes: int, free_percent: int
    ) -> None:
        self._directory = directory
        self._index = index
        self._limit_bytes = limit_bytes
        self._free_percent = free_percent
        self.evicted_objects = self.evicted_bytes = 0

    def path(self, row: int) -> Path:
        """Where the bytes of an object are."""
        return self._directory / "data" / f"{row % 256:02x}" / str(row)

    def remove(self, row: int) -> None:
        """Forget an object and its bytes."""
        self._index.remove_object(row)
        self.path(row).unlink(missing_ok=True)

    def make_room(self, need_bytes: int, attached: Sequence[int]) -> bool:
        """Evict until ``need_bytes`` fit; whether they do. ``attached`` are the rows that this
        process reads."""
        while need_bytes and self._over(need_bytes):
            if not self._evict_one(set(attached)):
                return False
        return True

    def _over(self, need_bytes: int) -> bool:
        if self._index.total_bytes() + need_bytes > self._limit_bytes:
            return True
        disk = os.statvfs(self._directory)
        free = disk.f_bavail * disk.f_frsize - need_bytes
        return free * 100 < disk.f_blocks * disk.f_frsize * self._free_percent

    def _evict_one(self, attached: set[int]) -> bool:
        return any(
            row not in attached and self._remove_unless_open(row) for row in self._index.oldest()
        )

    def _remove_unless_open(self, row: int) -> bool:
        try:
            fd = os.open(self.path(row), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            self.remove(row)
            return True
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False  # another process reads it
        else:
            self.evicted_objects += 1
            self.evicted_bytes += self._index.bytes_of(row)
            self.remove(row)
            return True
        finally:
            os.close(fd)
