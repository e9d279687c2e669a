"""One open file: a planner and the blocks it plans for.

Pinned to one version from open to close, whatever happens to the item meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from dmfs.blocks.cache import BlockCache, Data
from dmfs.blocks.extents import CachedObject
from dmfs.blocks.readahead import Plan, Planner
from dmfs.errors import GoneError, ObjectChangedError
from dmfs.model import File, Shortcut
from dmfs.spans import BLOCK_BYTES, Span, blocks_of

FOLLOWS_MAX = 3
"""A read gives up after finding its object replaced so often: storage that changes all the time."""


class AnyReader(Protocol):
    """An open file, as a door reads it."""

    @property
    def size_bytes(self) -> int: ...

    @property
    def keep_cache(self) -> bool:
        """Whether the kernel's pages of it may stay."""
        ...

    @property
    def direct_io(self) -> bool:
        """Whether the kernel may make no pages for it."""
        ...

    def read_now(self, offset: int, length: int) -> Data | None:
        """The bytes if they are at hand; never waits."""
        ...

    async def read(self, offset: int, length: int, until: int = 0) -> tuple[Data, bool]:
        """Up to ``length`` bytes at ``offset`` (fewer only at the end), and whether they were at
        hand without waiting. ``until``: the end of the range that the program asked for, of which
        this is a part; 0 if nobody knows."""
        ...

    def close(self) -> None: ...


class Reader:
    """Bytes of one version. Reads may run concurrently."""

    def __init__(
        self,
        file: File,
        opened: CachedObject,
        blocks: BlockCache,
        max_window: int,
        *,
        ask_size: Callable[[], Awaitable[int]] | None = None,
        on_first_read: Callable[[], None] | None = None,
    ) -> None:
        """``ask_size``: for a file that was opened on the listing's word. Called before anything is
        fetched; gives the real size, or the error that the open would have had."""
        self.file = file
        self.size_bytes = opened.size_bytes
        self._opened = opened
        self._blocks = blocks
        self._ask_size = ask_size
        self._on_first_read = on_first_read
        self._planner = Planner(
            opened.size_bytes,
            max_window,
            lambda offset: self._opened.on_disk(offset // BLOCK_BYTES),
            lambda: self._opened.link.bdp_bytes,
        )
        self.keep_cache = opened.generation.number == 0
        """Whether the kernel's pages of this file may stay: not if the content changed since the
        mount, for they may be of another generation."""
        self.direct_io = blocks.has_older(opened)
        """Whether the kernel may make no pages for it: an open file of an earlier generation would
        be given them (one inode has one page cache)."""
        self._refused_at = -1
        self._closed = False

    def read_now(self, offset: int, length: int, until: int = 0) -> Data | None:
        """The bytes if they are at hand; never waits. What lies ahead is topped up on the way."""
        if self._on_first_read is not None:
            first, self._on_first_read = self._on_first_read, None
            first()
        if offset >= self.size_bytes or length <= 0:
            return b""
        data = self._blocks.ready(self._opened, self._planner.clip(offset, length))
        if data is not None:
            plan = self._planner.on_read(offset, length, ready=True, until=until)
            if plan.ahead.length and self._blocks.epoch != self._refused_at:
                self._start(plan._replace(demand=Span(plan.demand.start, plan.demand.start)))
        return data

    async def read(self, offset: int, length: int, until: int = 0) -> tuple[Data, bool]:
        """See ``AnyReader``."""
        data = self.read_now(offset, length, until)
        if data is not None:
            return data, True
        if self._ask_size is not None and not self._at_rest(self._planner.clip(offset, length)):
            await self._confirm(self._ask_size)
        lost = not self._blocks.has_begun(self._opened, self._planner.clip(offset, length))
        plan = self._planner.on_read(offset, length, ready=False, lost=lost, until=until)
        follows = 0
        while True:
            opened = self._opened
            self._start(plan)
            try:
                return await self._blocks.get(opened, plan.demand), False
            except ObjectChangedError:
                if follows == FOLLOWS_MAX or not await self._follow(opened):
                    raise
                follows += 1

    def _at_rest(self, span: Span) -> bool:
        return all(map(self._opened.on_disk, range(*blocks_of(span))))

    async def _confirm(self, ask_size: Callable[[], Awaitable[int]]) -> None:
        """Ask for the real size. Where it differs from the one that the file was opened with, no
        byte is given out: the kernel would fill up with zeros what is missing at the end (seen),
        and a program that has asked for the size would leave out what is too much."""
        if await ask_size() != self.size_bytes:
            raise GoneError(
                f"cannot read {self.file.name!r}: it has another size than the service's listing",
                hint="its real size is known now: open it again",
            )
        self._ask_size = None

    def _start(self, plan: Plan) -> None:
        accepted = self._blocks.start(self._opened, plan.demand, plan.ahead, plan.part_bytes)
        self._planner.on_accepted(accepted)
        # nothing is free: the next try is not with the next read but when something was given back
        self._refused_at = self._blocks.epoch if accepted != plan.ahead else -1

    async def _follow(self, opened: CachedObject) -> bool:
        """Go on with the generation that took the place of ``opened``'s. False if there is none,
        or if bytes of ``opened`` were given out: a reader or the kernel would mix the two."""
        if opened is not self._opened:
            return True  # another read was faster
        generation = opened.generation
        successor = generation.successor
        if generation.given or successor is None or successor.size_bytes != self.size_bytes:
            return False
        newer = await self._blocks.open(self.file, self.size_bytes)
        if opened is not self._opened or self._closed:
            self._blocks.close(newer)
            return not self._closed
        self._blocks.close(opened)
        self._opened = newer
        return True

    def close(self) -> None:
        self._closed = True
        self._blocks.close(self._opened)


class TextReader:
    """The small body of a shortcut."""

    def __init__(self, shortcut: Shortcut) -> None:
        self._body = shortcut.body
        self.size_bytes = len(shortcut.body)
        self.keep_cache = True
        self.direct_io = False

    def read_now(self, offset: int, length: int) -> Data:
        return self._body[offset : offset + length]

    async def read(
        self,
        offset: int,
        length: int,
        until: int = 0,  # noqa: ARG002 - nothing is fetched
    ) -> tuple[Data, bool]:
        return self.read_now(offset, length), True

    def close(self) -> None:
        return None
