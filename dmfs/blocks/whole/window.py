"""What may be on its way to the disk at a time, in bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import trio

from dmfs.spans import SMALL_FILE_BYTES

WINDOW_BYTES = SMALL_FILE_BYTES
"""One part, or some small files: what is fetched anew after a kill."""


class Window:
    """Shared by all that fetch whole objects for one purpose. First come, first served."""

    def __init__(self, size_bytes: int = WINDOW_BYTES) -> None:
        self.size_bytes = size_bytes
        self._used_bytes = 0
        self._turn = trio.Lock()
        self._returned = trio.lowlevel.ParkingLot()

    @property
    def used_bytes(self) -> int:
        """What is on its way now."""
        return self._used_bytes

    @asynccontextmanager
    async def part(self, size_bytes: int) -> AsyncIterator[None]:
        """So much is on its way until the end of the body. What is larger than the window goes
        alone."""
        async with self._turn:
            while self._used_bytes and self._used_bytes + size_bytes > self.size_bytes:
                await self._returned.park()
            self._used_bytes += size_bytes
        try:
            yield
        finally:
            self._used_bytes -= size_bytes
            self._returned.unpark_all()
