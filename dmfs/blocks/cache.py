"""Blocks of storage objects: in flight, in memory, on disk.

An extent is found by its blocks while it fills and for as long as memory allows after, so "in
flight" and "in memory" are one thing. It belongs to the cache and fills in the cache's nursery;
when a reader's deadline cancels its wait, the bytes still land. A failed extent gives its error to
its waiters and is forgotten.

Demand waits for capacity (memory, connections); speculation takes what is spare or is dropped.
Everything here runs on the trio loop, and state changes only between awaits, except that the curl
thread and disk threads fill buffers beyond ``filled``.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable

import trio

from dmfs.blocks.disk_tier import DiskTier
from dmfs.blocks.extents import Bytes, CachedObject, Extent, Stage
from dmfs.blocks.memory_tier import LANDING_S, MemoryTier
from dmfs.blocks.missing import missing_spans
from dmfs.blocks.open_objects import OpenObjects
from dmfs.blocks.readahead import MIN_PART_BYTES, PART_BYTES
from dmfs.blocks.sharing.filling import Filling
from dmfs.blocks.store.block_store import BlockStore
from dmfs.errors import DriveError
from dmfs.fetch.connection_slots import ConnectionLimiter
from dmfs.fetch.etags import check
from dmfs.model import File, StorageId
from dmfs.spans import BLOCK_BYTES, EMPTY, Span, blocks_of, bytes_of
from dmfs.system.concurrency import deadline
from dmfs.system.shared_memory import Arena

log = logging.getLogger(__name__)

Data = bytes | bytearray | memoryview
CONSUMED_PARTS = 2
"""Parts of an object that stay after their last byte was given out: by then the kernel's reads that
lie out of order have come, and the oldest part's buffer is free."""


class BlockCache:
    """The verbs: ``open``/``close`` an object, ``ready`` and ``get`` bytes, ``start`` fetching."""

    def __init__(
        self,
        source: Bytes,
        store: BlockStore | None,
        nursery: trio.Nursery,
        *,
        memory_bytes: int,
        connections: int,
        connections_per_file: int,
        timeout_s: float,
        sha1_of: Callable[[File], str] = lambda _file: "",
        check: Callable[[CachedObject, Span], None] = lambda _opened, _span: None,
        arena: Arena | None = None,
        elsewhere_bytes: Callable[[], int] = lambda: 0,
    ) -> None:
        """``memory_bytes`` is also for what ``elsewhere_bytes`` says. ``check`` raises the
        DriveError of a fetch that would fail at once."""
        self._nursery = nursery
        self._disk = DiskTier(
            store, sha1_of, nursery, timeout_s=timeout_s, memory_bytes=memory_bytes
        )
        self._filling = Filling(source, self._disk, timeout_s)
        self._memory = MemoryTier(memory_bytes, arena, elsewhere_bytes, self._disk.writer.give_up)
        self._timeout_s = timeout_s
        self._check = check
        self._connections = ConnectionLimiter(connections, connections_per_file)
        self._objects = OpenObjects(self._memory, self._disk, nursery)
        self.evict, self.attached = self._objects.evict, self._objects.attached
        self.epoch = 0
        """Moves when memory or a connection was given back."""
        self._memory_hits = self._memory_bytes = 0
        self._page_cache_hits = self._page_cache_bytes = 0
        self._disk_hits = self._disk_bytes = 0
        self._misses = self._network_bytes = 0

    @property
    def memory_used(self) -> int:
        """Bytes of all buffers in use."""
        return self._memory.used_bytes

    @property
    def disk(self) -> DiskTier:
        """The tier behind memory, for who keeps whole objects there."""
        return self._disk

    async def change(self) -> None:
        """Wait until an extent has landed or is at rest: memory or a connection may be free."""
        await self._memory.change()

    def settle(self) -> None:
        """Give back memory that the budget no longer allows, as more of it is used elsewhere."""
        self._memory.settle()

    def drop_memory(self) -> None:
        """Give back all buffers that may be given back now."""
        self._memory.make_room(self._memory.budget_bytes, speculative=False)

    def extents(self) -> list[Extent]:
        """All extents that have a buffer, least recently used first."""
        return list(self._memory)

    def objects(self) -> list[CachedObject]:
        """All objects that are open or were closed lately."""
        return list(self._objects)

    def is_settled(self) -> bool:
        """Whether nothing is on its way, neither from the source nor to the disk."""
        return all(extent.stage is Stage.CLEAN for extent in self._memory)

    @property
    def is_fetching(self) -> bool:
        return self._connections.in_use > 0

    def gauges(self) -> dict[str, int]:
        """What is in use now (all but memory and objects are 0 on an idle drive), and, by names
        with a dot, counts so far: reads and bytes given out by the tier that had them."""
        return {
            "objects": len(self._objects),
            "users": sum(opened.users for opened in self._objects),
            "slots": self._connections.in_use,
            "blocks.memory_hits": self._memory_hits,
            "blocks.memory_bytes": self._memory_bytes,
            "blocks.page_cache_hits": self._page_cache_hits,
            "blocks.page_cache_bytes": self._page_cache_bytes,
            "blocks.disk_hits": self._disk_hits,
            "blocks.disk_bytes": self._disk_bytes,
            "blocks.misses": self._misses,
            "blocks.network_bytes": self._network_bytes,
            **self._memory.gauges(),
            **self._disk.gauges(),
        }

    # Objects

    async def open(self, file: File, size_bytes: int) -> CachedObject:
        """The object of a version, of its authoritative size; to be closed once per open."""
        return await self._objects.open(file, size_bytes)

    def has_older(self, opened: CachedObject) -> bool:
        """Whether files are open that read an earlier content of the same storage object."""
        return self._objects.has_older(opened)

    async def look_up(self, storage_ids: Iterable[StorageId]) -> None:
        """These will be opened in the next seconds: one look at the disk for all of them."""
        await self._objects.look_up(storage_ids)

    def close(self, opened: CachedObject) -> None:
        self._objects.let_go(opened)

    def forget(self, opened: CachedObject) -> None:
        """Let what is in memory of an object be fetched again."""
        self._objects.forget_extents(opened)

    async def drain(self, patience_s: float = math.inf) -> bool:
        """Before the end: wait until what was fetched is on disk, but not longer than that; whether
        it is."""
        until = trio.current_time() + patience_s
        await self._memory.landed(min(LANDING_S, patience_s))
        return await self._disk.writer.drain(max(0.0, until - trio.current_time()))

    # Reading

    def ready(self, opened: CachedObject, span: Span) -> Data | None:
        """The bytes if they are at hand without waiting: from an extent, or from the page cache."""
        generation = opened.generation
        if generation.successor is not None:  # detached (an enum's member costs 0.1 µs more)
            return None
        extent = opened.extents.get(span.start // BLOCK_BYTES)
        if extent is None:
            data: Data | None = self._disk.peek(opened, span)
            if data is None:
                return None
            self._page_cache_hits += 1
            self._page_cache_bytes += len(data)
        else:
            if extent.has(span):
                self._memory.touch(extent)
                data = extent.slice(span)
                if extent.consumed >= extent.span.length:
                    self.consumed(extent, opened)
            else:
                data = self._joined(opened, span)
                if data is None:
                    return None
            self._memory_hits += 1
            self._memory_bytes += len(data)
        generation.given = True
        return data

    def has_begun(self, opened: CachedObject, span: Span) -> bool:
        """Whether all bytes of a span are in memory or on their way to it."""
        return all(number in opened.extents for number in range(*blocks_of(span)))

    def _given_out(self, extent: Extent, opened: CachedObject, span: Span) -> memoryview:
        view = extent.slice(span)
        if extent.consumed >= extent.span.length:
            self.consumed(extent, opened)
        return view

    def consumed(self, extent: Extent, opened: CachedObject) -> None:
        """Its memory may be had now. That of a part that is at rest goes to the next one at once:
        the bytes are in the kernel's cache and on disk, and a buffer that was used just now is
        still in the processor's, where a new one has to be faulted in page by page."""
        self.epoch += 1
        if (
            (extent.speculative or extent.span.length >= MIN_PART_BYTES)  # of a stream
            and extent not in opened.consumed
            and (
                extent.given_up
                or all(map(opened.on_disk, range(extent.blocks.start, extent.blocks.stop)))
            )
        ):
            opened.consumed.append(extent)
            if len(opened.consumed) > CONSUMED_PARTS:
                self._memory.drop(opened.consumed.popleft(), opened)

    def _joined(self, opened: CachedObject, span: Span) -> Data | None:
        """Bytes across extents, if all of them have theirs."""
        pieces = []
        position = span.start
        while position < span.stop:
            extent = opened.extents.get(position // BLOCK_BYTES)
            if extent is None:
                return None
            piece = Span(position, min(span.stop, extent.span.stop))
            if not extent.has(piece):
                return None
            self._memory.touch(extent)
            pieces.append(self._given_out(extent, opened, piece))
            position = piece.stop
        return b"".join(pieces)

    async def get(self, opened: CachedObject, span: Span) -> Data:
        """The bytes, waited for; fetched now if ``start`` did not do so before (or it failed).

        ObjectChangedError once the object has another content, or another DriveError.
        """
        pieces: list[Data] = []
        position = span.start
        retried = False
        while position < span.stop:
            check(opened.generation, f"read {opened.file.name!r}")
            number = position // BLOCK_BYTES
            extent = opened.extents.get(number)
            if extent is None:
                self.start(opened, Span(position, span.stop), EMPTY)
                extent = opened.extents[number]
            piece = Span(position, min(span.stop, extent.span.stop))
            in_memory = extent.has(piece)
            extent.pins += 1
            try:
                await extent.reach(piece.stop)
            except DriveError:
                check(opened.generation, f"read {opened.file.name!r}")
                # What was fetched ahead (or read from a bad disk) may fail without a read that
                # wanted it: the reader's own request deserves its own answer, once.
                if retried or not (extent.speculative or extent.from_disk):
                    raise
                retried = not extent.from_disk
                self._memory.forget(extent, opened)
                continue
            finally:
                extent.pins -= 1
                if extent.landed and not extent.pins:
                    self._memory.changed()  # those that wait for room may have been woken too early
            check(opened.generation, f"read {opened.file.name!r}")
            self._count(extent, piece.length, in_memory=in_memory)
            pieces.append(self._given_out(extent, opened, piece))
            position = piece.stop
        opened.generation.given = True
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _count(self, extent: Extent, size_bytes: int, *, in_memory: bool) -> None:
        if in_memory:
            self._memory_hits += 1
            self._memory_bytes += size_bytes
        elif extent.from_disk:
            self._disk_hits += 1
            self._disk_bytes += size_bytes
        else:
            self._misses += 1
            self._network_bytes += size_bytes

    def start(
        self, opened: CachedObject, demand: Span, ahead: Span, part_bytes: int = PART_BYTES
    ) -> Span:
        """Begin to fetch what is missing of ``demand`` and, as far as there is room, of ``ahead``.

        Returns the part of ``ahead`` that is on its way or at hand; it always touches ``demand``'s
        side of it. Never waits.
        """
        wanted = blocks_of(ahead)
        for missing in missing_spans(opened, blocks_of(demand), wanted, part_bytes):
            self._launch(opened, missing, speculative=False)
        spans = missing_spans(opened, wanted, EMPTY, part_bytes)
        backward = ahead.start < demand.start and ahead.stop <= demand.stop
        for missing in reversed(list(spans)) if backward else spans:
            if not self._launch(opened, missing, speculative=True):
                edge = bytes_of(missing, opened.size_bytes)
                span = Span(edge.stop, ahead.stop) if backward else Span(ahead.start, edge.start)
                return span if span.length else EMPTY
        return ahead

    # Extents

    def _launch(self, opened: CachedObject, blocks: Span, *, speculative: bool) -> bool:
        """Start an extent; False (and nothing done) for speculation that finds no room."""
        span = bytes_of(blocks, opened.size_bytes)
        from_disk = opened.on_disk(blocks.start)
        extent = Extent(blocks, span, speculative=speculative, from_disk=from_disk)
        connected = False
        if speculative:
            if not self._memory.make_room(span.length, speculative=True):
                return False
            if not from_disk:
                if not self._connections.try_acquire(opened):
                    return False
                connected = True
            self._memory.allocate(extent, opened)
        for number in range(blocks.start, blocks.stop):
            opened.extents[number] = extent
        self._objects.hold(opened)
        self._nursery.start_soon(self._fly, extent, opened, connected)
        return True

    async def _fly(self, extent: Extent, opened: CachedObject, connected: bool) -> None:
        """The life of an extent: room, a connection, the bytes, the disk."""
        try:
            with deadline(self._timeout_s, f"read {opened.file.name!r}"):
                if extent.buffer is None:
                    await self._memory.wait_for_room(extent.span.length)
                    self._memory.allocate(extent, opened)
                extent.stage = Stage.FILLING
                if extent.from_disk or await self._disk.has_now(extent, opened):
                    await self._disk.read(extent, opened)
                else:
                    if not connected:
                        self._check(opened, extent.span)
                        await self._connections.acquire(opened)
                        connected = True
                    await self._filling.fill(extent, opened)
        except Exception as error:
            if not isinstance(error, DriveError):
                log.exception("reading %r failed", opened.file.name)
            extent.error = error
        except BaseException:
            extent.error = DriveError("the drive is shutting down")
            raise
        finally:
            if connected:
                self._connections.release(opened)
            self.epoch += 1
            self._land(extent, opened)
        if not extent.from_disk and not opened.detached:
            await self.save(extent, opened)
            self._filling.done(extent, came=opened)
        self._filling.done(extent)
        self._objects.let_go(opened)

    def _land(self, extent: Extent, opened: CachedObject) -> None:
        if extent.error is not None:
            extent.stage = Stage.FAILED
        elif extent.from_disk or opened.detached:
            extent.stage = Stage.CLEAN
        else:
            extent.stage = Stage.UNSAVED
        if extent.error is not None or opened.detached:
            self._memory.forget(extent, opened)
        extent.parking.unpark_all()
        self._memory.changed()

    async def save(self, extent: Extent, opened: CachedObject) -> None:
        """Put the bytes at rest (of a failed extent those that came). Errors stay here: one of them
        must not end the drive."""
        try:
            try:
                await self._disk.save(extent, opened)
            finally:
                if extent.stage in (Stage.UNSAVED, Stage.SAVING):
                    extent.stage = Stage.CLEAN
                extent.parking.unpark_all()  # those that wait until it is at rest
            self.epoch += 1
            self._memory.changed()
            if await self._disk.proves_wrong(opened):
                for wrong in set(opened.extents.values()):
                    self._memory.forget(wrong, opened)
        except Exception:
            log.exception("writing bytes of %r to the disk cache failed", opened.file.name)
        finally:
            if extent.consumed >= extent.span.length:
                self.consumed(extent, opened)
            self._memory.changed()
