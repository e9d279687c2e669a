"""One open file: a planner and the blocks it plans for. Floor 3.

Pinned to one version from open to close, whatever happens to the item meanwhile.
"""

from __future__ import annotations

from dmfs.blocks.cache import BlockCache, Data
from dmfs.blocks.extents import CachedObject
from dmfs.blocks.readahead import Plan, Planner
from dmfs.model import File, Shortcut
from dmfs.spans import BLOCK_BYTES, Span


class Reader:
    """Bytes of one version. Reads may run concurrently."""

    def __init__(
        self, file: File, opened: CachedObject, blocks: BlockCache, max_window: int
    ) -> None:
        self.file = file
        self.size_bytes = opened.size_bytes
        self._opened = opened
        self._blocks = blocks
        self._planner = Planner(
            opened.size_bytes,
            max_window,
            lambda offset: opened.on_disk(offset // BLOCK_BYTES),
            lambda: opened.delivery.bdp_bytes,
        )
        self.keep_cache = not blocks.is_anew(opened)
        """Whether what the kernel holds of this file may be given out."""
        self._refused_at = -1

    def read_now(self, offset: int, length: int) -> Data | None:
        """The bytes if they are at hand; never waits. What lies ahead is topped up on the way."""
        if offset >= self.size_bytes or length <= 0:
            return b""
        data = self._blocks.ready(self._opened, self._planner.clip(offset, length))
        if data is not None:
            plan = self._planner.on_read(offset, length, ready=True)
            if plan.ahead.length and self._blocks.epoch != self._refused_at:
                self._start(plan._replace(demand=Span(plan.demand.start, plan.demand.start)))
        return data

    async def read(self, offset: int, length: int) -> tuple[Data, bool]:
        """Up to ``length`` bytes at ``offset`` (fewer only at the end), and whether they were at
        hand without waiting."""
        data = self.read_now(offset, length)
        if data is not None:
            return data, True
        plan = self._planner.on_read(offset, length, ready=False)
        self._start(plan)
        return await self._blocks.get(self._opened, plan.demand), False

    def _start(self, plan: Plan) -> None:
        accepted = self._blocks.start(self._opened, plan.demand, plan.ahead, plan.part_bytes)
        self._planner.on_accepted(accepted)
        # nothing is free: not asked again with every read, but when something was given back
        self._refused_at = self._blocks.epoch if accepted != plan.ahead else -1

    def close(self) -> None:
        self._blocks.close(self._opened)


class TextReader:
    """The small body of a shortcut."""

    def __init__(self, shortcut: Shortcut) -> None:
        self._body = shortcut.body
        self.size_bytes = len(shortcut.body)
        self.keep_cache = True

    def read_now(self, offset: int, length: int) -> Data:
        return self._body[offset : offset + length]

    async def read(self, offset: int, length: int) -> tuple[Data, bool]:
        return self.read_now(offset, length), True

    def close(self) -> None:
        return None


AnyReader = Reader | TextReader
