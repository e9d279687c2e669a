"""An extent: some blocks in a row with one buffer, in flight or in memory.

    QUEUED ── room and a connection ──▶ FILLING ── the last byte ──▶ UNSAVED ──▶ SAVING ──▶ CLEAN
       │                                   │                            │                     ▲
       │                                   │        no disk, read from it, or given up: ──────┘
       └────────── an error ───────────────┴──▶ FAILED
    Its blocks find it from QUEUED on until memory is wanted (CLEAN) or the error is known (FAILED).
    CLEAN is at rest or will not be: only then its buffer may be given to another extent. UNSAVED
    waits for the disk, and becomes CLEAN at once when its memory is wanted (``save_queue``).

One GET or one read of the disk fills it. Readers wait until it is filled as far as they need.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

import trio

from dmfs.blocks.store.stored_object import ABSENT, StoredObject
from dmfs.errors import DriveError
from dmfs.fetch.curl.progress import NOTHING, Progress
from dmfs.fetch.generation import Generation, Sample, State
from dmfs.fetch.link_stats import BandwidthDelay
from dmfs.model import File
from dmfs.spans import Span


class Stage(Enum):
    """Where an extent is in its life; see the diagram of the module."""

    QUEUED = "queued"
    FILLING = "filling"
    UNSAVED = "unsaved"
    SAVING = "saving"
    CLEAN = "clean"
    FAILED = "failed"


class Extent(Progress):
    """Some blocks with their buffer, valid as far as ``filled``."""

    __slots__ = (
        "again", "blocks", "buffer", "consumed", "error", "from_disk", "given_up", "parking",
        "pins", "span", "speculative", "stage",
    )  # fmt: skip

    def __init__(self, blocks: Span, span: Span, *, speculative: bool, from_disk: bool) -> None:
        super().__init__()
        self.blocks = blocks
        self.span = span
        self.speculative = speculative
        self.from_disk = from_disk
        self.stage = Stage.QUEUED
        self.buffer: memoryview | None = None
        """May be longer than the span; not used for anything else while there is a view of it."""
        self.consumed = 0
        """How many bytes from the start were given out."""
        self.again = False
        """Whether it is read a second time: after all of it was given out, or given up before."""
        self.given_up = False
        """Whether it is not at rest because memory, or the disk's time, was wanted."""
        self.error: Exception | None = None
        self.pins = 0
        """Readers about to slice; the buffer may be used again only at 0."""
        self.parking = trio.lowlevel.ParkingLot()

    @property
    def landed(self) -> bool:
        """Whether no more bytes come."""
        return self.stage not in (Stage.QUEUED, Stage.FILLING)

    def wake(self) -> None:
        self.wanted = NOTHING  # readers that still wait set it again
        self.parking.unpark_all()

    def has(self, span: Span) -> bool:
        """Whether all bytes of ``span`` are valid here."""
        filled = span.stop - self.span.start
        return self.span.start <= span.start and (filled <= self.filled or filled <= self.look())

    async def reach(self, stop: int) -> None:
        """Wait until the bytes before ``stop`` are valid, or raise what went wrong."""
        needed = stop - self.span.start
        while self.look() < needed:
            if self.error is not None:
                raise self.error.copy() if isinstance(self.error, DriveError) else self.error
            self.want(needed)
            if self.look() < needed:
                await self.parking.park()

    def writable(self) -> memoryview:
        """Where the bytes of the span belong."""
        assert self.buffer is not None
        return self.buffer[: self.span.length]

    def slice(self, span: Span) -> memoryview:
        """A read-only view of valid bytes."""
        assert self.buffer is not None
        view = self.buffer.toreadonly()
        if self.consumed >= self.span.length and span.start == self.span.start:
            self.again = True
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
    link: BandwidthDelay = field(default_factory=BandwidthDelay, repr=False)
    consumed: deque[Extent] = field(default_factory=deque, repr=False)
    """Parts whose last byte was given out lately, and that are at rest."""
    missed: set[int] = field(default_factory=set, repr=False)
    """First blocks of the extents that were given up: who asks again reads them again."""
    users: int = 0
    """Open files, and extents on their way: while there are any, no descriptor is closed."""
    looked_at: float = 0.0
    """When the disk was searched last for what other processes have put there (trio's clock)."""
    looked_count: int = -1
    """Of ``Leases``, before that look; -1 for none."""
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


class Bytes(Protocol):
    """Where missing bytes come from (``object_client.ObjectClient``)."""

    async def fill(
        self, content: CachedObject, span: Span, buffer: memoryview, progress: Progress
    ) -> None:
        """Fill ``buffer`` with ``span``; ``progress`` says how far it is valid."""
        ...
