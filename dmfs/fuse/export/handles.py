"""The table of handles beside the event loop: what is not written yet, what was read lately."""

from __future__ import annotations

import logging
from functools import partial

import cachetools
import trio

from dmfs.errors import DriveError
from dmfs.fuse.export.handle_table import Handle, HandleTable
from dmfs.system.clock import wall_time_s
from dmfs.system.concurrency import in_thread

log = logging.getLogger(__name__)

PATIENCE_S = 1.0
"""An answer waits so long for the table; on a disk that stands still it goes without."""
UNWRITTEN_MAX = 100_000
"""Rows that wait for a disk that stands still: 20 MB. The first of more are never written."""
READ_MAX = 10_000
DAY_S = 86400


class Handles:
    """``note`` what is handed to the kernel, and await ``written`` before it is told: a handle that
    a client has is in the table, also when this process is killed a moment later."""

    def __init__(self, table: HandleTable) -> None:
        self._table = table
        self._new: dict[int, Handle] = {}
        self._on_way: dict[int, Handle] = {}
        self._read: cachetools.LRUCache[int, Handle] = cachetools.LRUCache(READ_MAX)
        self._turn = trio.Lock()
        self._failing = False
        self.lost = 0
        """Rows that could not be written."""
        self.restored = 0
        """Inodes that were found again by their handles."""
        self.stale = 0
        """Handles of what is not there any more."""

    def close(self) -> None:
        self._table.close()

    def note(self, handle: Handle) -> None:
        """Never waits."""
        self._read.pop(handle.number, None)
        self._new[handle.number] = handle
        while len(self._new) > UNWRITTEN_MAX:
            del self._new[next(iter(self._new))]
            self.lost += 1

    async def written(self) -> None:
        """Return once all that was noted is in the table, or cannot be written. Never raises a
        DriveError: a drive without this table reads on."""
        if not self._new and not self._on_way:
            return
        with trio.move_on_after(PATIENCE_S):
            async with self._turn:
                if self._new:
                    await self._write()

    async def _write(self) -> None:
        self._on_way, self._new = self._new, {}
        try:
            day = int(wall_time_s() // DAY_S)
            await in_thread(partial(self._table.put, self._on_way.values(), day))
        except trio.Cancelled:
            self._new = self._on_way | self._new  # it may be written twice
            raise
        except (DriveError, OSError) as error:
            self._new = self._on_way | self._new
            if not self._failing:
                log.warning("handles do not outlive a restart: %s", error)
            self._failing = True
        else:
            self._failing = False
        finally:
            self._on_way = {}

    async def get(self, number: int) -> Handle | None:
        """Where an inode was last; None if that is not known. DriveError if the table cannot be
        read, which is another answer."""
        found = self._known(number)
        if found is None:
            try:
                way = await in_thread(partial(self._table.way, number))
            except OSError as error:
                raise DriveError(f"handles cannot be read: {error}") from error
            found = self._known(number)  # once more: what was noted meanwhile is newer
            for each in way:
                if self._known(each.number) is None:
                    self._read[each.number] = each
            found = found or self._known(number)
        return found

    def _known(self, number: int) -> Handle | None:
        return self._new.get(number) or self._on_way.get(number) or self._read.get(number)

    def gauges(self) -> dict[str, int]:
        """Counts since the start."""
        return {
            "export.restored": self.restored,
            "export.stale": self.stale,
            "export.dropped": self._table.dropped,
            "export.lost": self.lost,
        }
