"""The bytes of an extent: those that another process of this cache fetches now are waited for, and
read from the disk; the others are fetched.

A reader waits about as long as its own fetches take, once: after a wait in vain (the other process
is stopped, or its disk is slow) it fetches for itself for a while.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import trio

from dmfs.blocks.disk_tier import DiskTier
from dmfs.blocks.extents import Bytes, CachedObject, Extent
from dmfs.errors import DriveError
from dmfs.fetch.curl.progress import Progress
from dmfs.model import StorageId
from dmfs.spans import Span, bytes_of

PATIENCE_LEAST_S = 1.0
PATIENCE_FIRST_S = 2.0
"""While no fetch of our own has shown how long one takes."""
PATIENCE_MAX_S = 5.0
PATIENCE_FACTOR = 2.0
"""Of the slowest recent fetch of ours: the other's bytes have to come to rest, too."""
SULK_S = 30.0
POLL_FIRST_S = 0.002
POLL_MAX_S = 0.02
DURATIONS = 16


class Filling:
    """For a block cache. On the loop."""

    def __init__(self, source: Bytes, disk: DiskTier, timeout_s: float) -> None:
        """``timeout_s`` of a read: a fourth of it is the longest wait."""
        self._source = source
        self._disk = disk
        self._patience_max_s = min(PATIENCE_MAX_S, timeout_s / 4)
        self._took_s: deque[float] = deque(maxlen=DURATIONS)
        self._taken: dict[Extent, StorageId] = {}
        self._in_vain_at = -SULK_S

    async def fill(self, extent: Extent, opened: CachedObject) -> None:
        """DriveErrors of the source. ``extent.from_disk`` is set if no byte had to be fetched."""
        waited = await self._take(extent, opened)
        if not (waited or self._disk.came_since(opened)):
            await self._fetch(extent, opened)
            return
        await self._disk.look(extent, opened)
        if extent.from_disk:
            self.done(extent)
            try:
                await self._disk.read(extent, opened)
                return
            except DriveError:
                extent.from_disk = False
        runs = list(_runs(extent, opened))
        if runs == [(extent.blocks, False)]:
            await self._fetch(extent, opened)
            return
        for blocks, at_rest in runs:
            await self._piece(extent, opened, blocks, at_rest=at_rest)

    def done(self, extent: Extent, came: CachedObject | None = None) -> None:
        """Others may look for what they miss of it; ``came``: there are bytes at rest now."""
        storage_id = self._taken.pop(extent, None)
        leases = self._disk.leases
        if came is not None:
            self._disk.came(came)
        if leases is not None and storage_id is not None:
            leases.give_back(storage_id, extent.blocks)

    async def _take(self, extent: Extent, opened: CachedObject) -> bool:
        """Make it known that these blocks are fetched here; whether somebody had them before."""
        leases, storage_id = self._disk.leases, opened.file.storage_id
        if leases is None or not self._disk.may_write:
            return False
        began_s = trio.current_time()
        wait_s = POLL_FIRST_S
        waited = False
        while not leases.take(storage_id, extent.blocks):
            now_s = trio.current_time()
            if now_s - self._in_vain_at < SULK_S:
                return waited
            if now_s - began_s >= self._patience_s():
                self._in_vain_at = now_s
                return True
            waited = True
            await trio.sleep(wait_s)
            wait_s = min(wait_s * 2, POLL_MAX_S)
        self._taken[extent] = storage_id
        return waited

    def _patience_s(self) -> float:
        if not self._took_s:
            return min(PATIENCE_FIRST_S, self._patience_max_s)
        least_s = max(PATIENCE_LEAST_S, PATIENCE_FACTOR * max(self._took_s))
        return min(least_s, self._patience_max_s)

    async def _fetch(self, extent: Extent, opened: CachedObject) -> None:
        mark = opened.link.requested(trio.current_time())
        await self._source.fill(opened, extent.span, extent.writable(), extent)
        opened.link.arrived(mark, extent.span.length, trio.current_time())
        self._took_s.append(trio.current_time() - mark.at_s)

    async def _piece(
        self, extent: Extent, opened: CachedObject, blocks: Span, *, at_rest: bool
    ) -> None:
        span = bytes_of(blocks, opened.size_bytes)
        first = span.start - extent.span.start
        buffer = extent.writable()[first : first + span.length]
        progress = Progress(extent, first)
        if at_rest and await self._disk.read_blocks(opened, blocks, buffer) == span.length:
            if progress.put(span.length):
                progress.wake()
            return
        await self._source.fill(opened, span, buffer, progress)


def _runs(extent: Extent, opened: CachedObject) -> Iterator[tuple[Span, bool]]:
    """The blocks in a row that are at rest, and those that are not."""
    start = extent.blocks.start
    while start < extent.blocks.stop:
        at_rest = opened.on_disk(start)
        stop = start + 1
        while stop < extent.blocks.stop and opened.on_disk(stop) == at_rest:
            stop += 1
        yield Span(start, stop), at_rest
        start = stop
