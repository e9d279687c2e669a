"""One open file: a planner and the blocks it plans for. Floor 3.

Pinned to one version from open to close, whatever happens to the item meanwhile.
"""

from __future__ import annotations

from dmfs.blocks import BlockCache, CachedObject, Data
from dmfs.model import File, Shortcut
from dmfs.plan import Planner


class Reader:
    """Bytes of one version. Reads may run concurrently."""

    def __init__(
        self, file: File, opened: CachedObject, blocks: BlockCache, max_window: int
    ) -> None:
        self.file = file
        self.size_bytes = opened.size_bytes
        self._opened = opened
        self._blocks = blocks
        self._planner = Planner(opened.size_bytes, max_window)

    async def read(self, offset: int, length: int) -> tuple[Data, bool]:
        """Up to ``length`` bytes at ``offset`` (fewer only at the end), and whether they were at
        hand without waiting."""
        if offset >= self.size_bytes or length <= 0:
            return b"", True
        span = self._planner.clip(offset, length)
        data = self._blocks.ready(self._opened, span)
        plan = self._planner.on_read(offset, length, ready=data is not None)
        if data is None or plan.ahead.length:
            demand = plan.demand if data is None else plan.demand._replace(stop=plan.demand.start)
            self._planner.on_accepted(self._blocks.start(self._opened, demand, plan.ahead))
        if data is not None:
            return data, True
        return await self._blocks.get(self._opened, plan.demand), False

    def close(self) -> None:
        self._blocks.close(self._opened)


class TextReader:
    """The small body of a shortcut."""

    def __init__(self, shortcut: Shortcut) -> None:
        self._body = shortcut.body
        self.size_bytes = len(shortcut.body)

    async def read(self, offset: int, length: int) -> tuple[Data, bool]:
        return self._body[offset : offset + length], True

    def close(self) -> None:
        return None


AnyReader = Reader | TextReader
