"""Bring all blocks of a version to rest, without being in a reader's way.

Only what is missing is fetched. It is speculation that waits instead of being dropped: readers have
room and connections first. What was fetched and is not at rest yet counts against a ``Window``: so
much is lost by a kill, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import trio

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.extents import CachedObject, Extent, Stage
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.blocks.readahead import PART_BYTES
from dmfs.blocks.whole.window import Window
from dmfs.errors import DriveError, NoRoomError, WrongBytesError
from dmfs.fetch.etags import check
from dmfs.model import File
from dmfs.spans import BLOCK_BYTES, EMPTY, SMALL_FILE_BYTES, Span, block_count, bytes_of
from dmfs.system.concurrency import bare_errors

REFUSED_S = 0.2
"""Until the next try at the latest where memory or a connection was not free: not all that frees
some tells of it."""
ROUNDS = 3
"""So often in a row nothing may come to rest: a save may be given up for memory once or twice."""

OnProgress = Callable[[int], None]
"""Hears of so many more bytes that came to rest."""


def wrong_bytes_words(file: File) -> str:
    return f"cannot keep {file.name!r}: its bytes do not match the checksum of the service"


class Whole(NamedTuple):
    """A version that is at rest as a whole."""

    size_bytes: int
    new_bytes: int
    """What came to rest now; 0 where all of it was there."""


async def fetch_whole(
    blocks: BlockCache,
    sizes: ObjectSizes,
    file: File,
    window: Window,
    on_progress: OnProgress = lambda _more_bytes: None,
    *,
    prove: bool = False,
) -> Whole:
    """Bring all bytes of a version to rest. No call if they are (``prove``: and were compared with
    the service's sha1, once, which is done here otherwise).

    NoRoomError where the cache does not take them, WrongBytesError where they are not what the
    service's sha1 says (they are gone from the cache then), or the DriveError of a fetch. What came
    before is at rest: the next call goes on from there.
    """
    found = (await blocks.disk.at_rest([file.storage_id])).get(file.storage_id)
    if found is not None and found.whole and (found.checked or not prove):
        return Whole(found.size_bytes, 0)
    size_bytes = await sizes.authoritative(file)
    if not size_bytes:
        return Whole(0, 0)
    sha1 = blocks.disk.sha1_of(file) if prove else ""
    opened = await blocks.open(file, size_bytes)
    try:
        new_bytes = await _Fetch(blocks, opened, window, on_progress).run()
        if sha1 and not await blocks.disk.is_right(opened, sha1):
            blocks.forget(opened)
            raise WrongBytesError(wrong_bytes_words(file))
    finally:
        blocks.close(opened)
    return Whole(size_bytes, new_bytes)


class _Fetch:
    """Of one open object."""

    def __init__(
        self, blocks: BlockCache, opened: CachedObject, window: Window, on_progress: OnProgress
    ) -> None:
        self._blocks = blocks
        self._opened = opened
        self._window = window
        self._on_progress = on_progress
        small = opened.size_bytes <= SMALL_FILE_BYTES  # one GET, compared before it counts
        self._part_bytes = SMALL_FILE_BYTES if small else PART_BYTES
        self._new_bytes = 0

    async def run(self) -> int:
        """Until nothing is missing; how many bytes came to rest."""
        in_vain = 0
        missing = self._missing()
        while missing:
            check(self._opened.generation, f"keep {self._opened.file.name!r}")
            if in_vain >= ROUNDS or self._opened.stored is None:
                raise self._no_room()
            with bare_errors():
                async with trio.open_nursery() as nursery:
                    for part in self._parts(missing):
                        size_bytes = bytes_of(part, self._opened.size_bytes).length
                        await nursery.start(self._bring, part, size_bytes)
            still = self._missing()
            in_vain = in_vain + 1 if len(still) >= len(missing) else 0
            missing = still
        return self._new_bytes

    def _no_room(self) -> NoRoomError:
        return NoRoomError(
            f"cannot keep {self._opened.file.name!r}: the cache on disk does not take it",
            hint="its disk is full or fails, or what is pinned and in use fills the cache",
        )

    def _missing(self) -> list[int]:
        """Blocks that are not at rest."""
        on_disk = self._opened.on_disk
        return [n for n in range(block_count(self._opened.size_bytes)) if not on_disk(n)]

    def _parts(self, missing: list[int]) -> Iterator[Span]:
        """Of blocks that are missing, in a row and on multiples of a part."""
        part_blocks = self._part_bytes // BLOCK_BYTES
        start = stop = -1
        for number in missing:
            if number != stop or number % part_blocks == 0:
                if stop > start:
                    yield Span(start, stop)
                start = number
            stop = number + 1
        yield Span(start, stop)

    async def _bring(
        self,
        part: Span,
        size_bytes: int,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        async with self._window.part(size_bytes):
            task_status.started()
            number = part.start
            while number < part.stop:
                extent = self._opened.extents.get(number)
                if extent is None and not self._opened.on_disk(number):
                    extent = await self._launched(Span(number, part.stop))
                stop = number + 1
                if extent is not None:
                    await self._settle(extent)
                    stop = min(max(stop, extent.blocks.stop), part.stop)
                self._count(Span(number, stop))
                number = stop

    def _count(self, blocks: Span) -> None:
        """Blocks that were missing before, as far as they are at rest now."""
        there = (n for n in range(blocks.start, blocks.stop) if self._opened.on_disk(n))
        size_bytes = sum(bytes_of(Span(n, n + 1), self._opened.size_bytes).length for n in there)
        self._new_bytes += size_bytes
        if size_bytes:
            self._on_progress(size_bytes)

    async def _launched(self, part: Span) -> Extent | None:
        """An extent with the first block of a part; None if that came to rest meanwhile."""
        span = bytes_of(part, self._opened.size_bytes)
        while (extent := self._opened.extents.get(part.start)) is None:
            if self._opened.on_disk(part.start):
                return None
            self._blocks.start(self._opened, EMPTY, span, self._part_bytes)
            if part.start not in self._opened.extents:
                with trio.move_on_after(REFUSED_S):
                    await self._blocks.change()
        return extent

    async def _settle(self, extent: Extent) -> None:
        """Wait until an extent is at rest, then let it go."""
        while extent.stage not in (Stage.CLEAN, Stage.FAILED):
            await extent.parking.park()
        if extent.error is not None:
            raise extent.error.copy() if isinstance(extent.error, DriveError) else extent.error
        blocks = range(extent.blocks.start, extent.blocks.stop)
        if not all(map(self._opened.on_disk, blocks)):
            if self._opened.extents.get(extent.blocks.start) is not extent:
                return  # its memory was wanted
            extent.stage = Stage.UNSAVED  # it was given up, and is in memory: no GET is needed
            await self._blocks.save(extent, self._opened)
            if not extent.given_up and not all(map(self._opened.on_disk, blocks)):
                raise self._no_room()
        if extent.speculative and not extent.consumed:  # nobody reads it
            extent.consumed = extent.span.length
            self._blocks.consumed(extent, self._opened)
