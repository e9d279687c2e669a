"""A run: a stretch of blocks with one buffer, in flight or in memory. Floor 2.

Filled by one GET or one read of the disk; found by its blocks while it fills and for as long as
memory allows after. Whoever needs bytes of it waits until it is filled that far.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from dmfs.blocks.store.stored_object import ABSENT, StoredObject
from dmfs.errors import DriveError
from dmfs.fetch.bandwidth_delay import BandwidthDelay
from dmfs.fetch.curl.progress import NOBODY, Progress
from dmfs.fetch.generation import Generation, Sample, State
from dmfs.model import File
from dmfs.spans import Span


class Extent(Progress):
    """A stretch of blocks with its buffer, valid as far as ``filled``."""

    __slots__ = (
        "blocks", "buffer", "consumed", "done", "error", "from_disk", "has_slot", "parking", "pins",
        "saved", "span", "speculative",
    )  # fmt: skip

    def __init__(self, blocks: Span, span: Span, *, speculative: bool, from_disk: bool) -> None:
        super().__init__()
        self.blocks = blocks
        self.span = span
        self.speculative = speculative
        self.from_disk = from_disk
        self.buffer: memoryview | None = None
        """May be longer than the span; of nobody else as long as there is any view of it."""
        self.consumed = 0
        self.done = False
        self.saved = from_disk
        self.error: Exception | None = None
        self.has_slot = False
        self.pins = 0
        """Readers between their wait and their slice: the buffer must not be used again."""
        self.parking = trio.lowlevel.ParkingLot()

    def wake(self) -> None:
        self.wanted = NOBODY  # who still waits says so again
        self.parking.unpark_all()

    def holds(self, span: Span) -> bool:
        return self.span.start <= span.start and span.stop <= self.span.start + self.filled

    async def reach(self, stop: int) -> None:
        """Wait until the bytes before ``stop`` are valid, or raise what went wrong."""
        needed = stop - self.span.start
        while self.filled < needed:
            if self.error is not None:
                raise self.error.again() if isinstance(self.error, DriveError) else self.error
            self.want(needed)
            if self.filled < needed:
                await self.parking.park()

    def sink(self) -> memoryview:
        """Where the bytes of the span belong."""
        assert self.buffer is not None
        return self.buffer[: self.span.length]

    def slice(self, span: Span) -> memoryview:
        assert self.buffer is not None
        view = self.buffer.toreadonly()
        self.consumed = max(self.consumed, span.stop - self.span.start)
        return view[span.start - self.span.start : span.stop - self.span.start]


@dataclass(eq=False)
class CachedObject:
    """One generation of a storage object: open, or lately closed."""

    file: File
    generation: Generation
    read_sample: Callable[[CachedObject], Awaitable[Sample | None]] = field(repr=False)
    stored: StoredObject | None = None
    extents: dict[int, Extent] = field(default_factory=dict, repr=False)
    """Block number → the extent that has it or is going to have it."""
    delivery: BandwidthDelay = field(default_factory=BandwidthDelay, repr=False)
    consumed: deque[Extent] = field(default_factory=deque, repr=False)
    """Parts whose last byte was given out lately, and that are at rest."""
    users: int = 0
    """Open files, and extents on their way: while there are any, no descriptor is closed."""
    looked_at: float = 0.0
    """When the disk was searched last for what other processes have put there (trio's clock)."""
    size_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.size_bytes = self.generation.size_bytes

    @property
    def detached(self) -> bool:
        """Whether the storage object has another content now: open files are to fail."""
        return self.generation.state is State.DETACHED

    def on_disk(self, number: int) -> bool:
        """Whether a block is at rest, as far as this process knows."""
        return self.stored is not None and self.stored.states[number] != ABSENT

    async def sample(self) -> Sample | None:
        """A piece of what is cached; None if nothing is. DriveError where it cannot be read."""
        return await self.read_sample(self)
