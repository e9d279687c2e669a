"""How much the spool may still take: its own limit, and the disk less a share that stays free."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import NamedTuple

import trio

from dmfs.errors import NoRoomError, SpoolError, SpoolLimitError
from dmfs.spans import MIB
from dmfs.write.spool.disk import Disk

FRESH_S = 2.0
"""So old a figure of the disk's room is good enough to be shown."""


PENDING_BYTES = 64 * MIB
"""In memory for all drafts; beyond that each write goes to its file at once."""


class Room(NamedTuple):
    """What statfs shows."""

    total_bytes: int
    free_bytes: int


class _Look(NamedTuple):
    """The disk, as it was found."""

    total_bytes: int
    available_bytes: int
    spilled_bytes: int
    """The counter of bytes that went to the disk, as it was then."""


class RoomCount:
    """Counts what is reserved, spilled and freed. Figures of the disk are looked up in threads."""

    def __init__(self, disk: Disk, limit_bytes: int, free_percent: float) -> None:
        self._disk = disk
        self._limit_bytes, self._free_percent = limit_bytes, free_percent
        self.used_bytes = 0
        """Of all data files, with what is only reserved."""
        self.pending_bytes = 0
        """Of these what is not in a file yet."""
        self._spilled = 0
        self._look: _Look | None = None
        self._looked_at_s = float("-inf")
        self._looking = threading.Lock()

    def look(self, path: Path) -> None:
        """Ask the disk. Blocks: for threads, and for the start."""
        spilled = self._spilled
        with contextlib.suppress(OSError):
            found = os.statvfs(path)
            self._look = _Look(
                found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize, spilled
            )

    def room(self) -> Room:
        """Never blocks: figures of the disk are those of the last look, and the next one begins."""
        self._look_again()
        free = min(self._limit_bytes - self.used_bytes, self._disk_bytes())
        free = max(free, 0)
        return Room(self.used_bytes + free, free)

    @property
    def is_crowded(self) -> bool:
        """Whether more waits in memory than should."""
        return self.pending_bytes > PENDING_BYTES

    async def reserve(self, length: int) -> None:
        """Take so much of the room. SpoolLimitError, NoRoomError, SpoolError: nothing is taken."""
        if self.pending_bytes > 2 * PENDING_BYTES:
            raise SpoolError(
                f"the disk of {self._disk.directory} does not take what is saved",
                hint="look at dmesg; what is saved already is safe",
            )
        if self.used_bytes + length > self._limit_bytes:
            raise SpoolLimitError(
                f"the spool is full: saved files that wait take"
                f" {self.used_bytes // MIB} of {self._limit_bytes // MIB} MiB",
                hint="wait until some are uploaded (dmfs uploads), or raise spool_size",
            )
        if length > self._disk_bytes():
            await self._disk.run(lambda: self.look(self._disk.directory), "look at the room")
            if length > self._disk_bytes():
                raise NoRoomError(
                    f"the disk of {self._disk.directory} is full but for the"
                    f" {self._free_percent:g} % that stay free",
                    hint="free some space there, and save again",
                )
        self.used_bytes += length
        self.pending_bytes += length

    def reserve_now(self, length: int) -> bool:
        """As ``reserve``, without a look at the disk. False: nothing is taken."""
        if (
            self.pending_bytes > PENDING_BYTES
            or self.used_bytes + length > self._limit_bytes
            or length > self._disk_bytes()
        ):
            return False
        self.used_bytes += length
        self.pending_bytes += length
        return True

    def give_back(self, length: int) -> None:
        """What was reserved is not written after all."""
        self.used_bytes -= length
        self.pending_bytes -= length

    def spilled(self, length: int) -> None:
        """What was reserved is in a file."""
        self.pending_bytes -= length
        self._spilled += length

    def freed(self, length: int) -> None:
        """So much of data files is gone."""
        self.used_bytes -= length

    def _disk_bytes(self) -> int:
        """What the disk has for us beyond what is reserved; may be negative."""
        look = self._look
        if look is None:
            return self._limit_bytes  # unknown: the write itself will tell
        stays = int(look.total_bytes * self._free_percent / 100)
        since = self._spilled - look.spilled_bytes
        return look.available_bytes - stays - since - self.pending_bytes

    def _look_again(self) -> None:
        """Begin a look in a thread of its own, if the last one is old and none is under way: the
        process may end while it hangs."""
        now = trio.current_time()
        if now < self._looked_at_s + FRESH_S or not self._looking.acquire(blocking=False):
            return
        self._looked_at_s = now

        def look() -> None:
            try:
                self.look(self._disk.directory)
            finally:
                self._looking.release()

        try:
            threading.Thread(target=look, name="dmfs spool room", daemon=True).start()
        except RuntimeError:  # no thread to be had: the old figures are what there is
            self._looking.release()
