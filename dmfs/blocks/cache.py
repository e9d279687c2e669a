"""Blocks of storage objects: in flight, in memory, on disk. Floor 2.

A *run* is a stretch of blocks with one buffer, filled by one GET or one read of the disk. It is
found by its blocks while it fills and for as long as memory allows after, so "in flight" and "in
memory" are one thing: whoever needs bytes of it waits until it is filled that far. A run belongs
to the cache and runs in the cache's nursery; when a reader's deadline cancels its wait, the bytes
still land. A failed run gives its error to its waiters and is forgotten.

Demand waits for capacity (memory, connections); speculation takes what is spare or is dropped.
Everything here runs on the trio loop, and state changes only between awaits, except that runs'
buffers are filled by the curl thread and disk threads beyond ``filled``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

import trio

from dmfs.blocks.disk_tier import DiskTier
from dmfs.blocks.extents import CachedObject, Extent
from dmfs.blocks.memory_tier import MemoryTier
from dmfs.blocks.open_objects import OpenObjects
from dmfs.blocks.readahead import DISK_PART_BYTES, MIN_PART_BYTES, PART_BYTES
from dmfs.blocks.store.block_store import BlockStore
from dmfs.errors import DriveError
from dmfs.fetch.connection_slots import ConnectionLimiter
from dmfs.fetch.curl.progress import Progress
from dmfs.fetch.etags import check
from dmfs.fetch.generation import State
from dmfs.model import File, StorageId
from dmfs.spans import BLOCK_BYTES, EMPTY, SMALL_FILE_BYTES, Span, blocks_of, bytes_of
from dmfs.system.concurrency import deadline
from dmfs.system.shared_memory import Arena

log = logging.getLogger(__name__)

Data = bytes | bytearray | memoryview
_DISK_PART_BLOCKS = DISK_PART_BYTES // BLOCK_BYTES
CONSUMED_PARTS = 2
"""Parts of an object that stay after their last byte was given out: by then the kernel's reads that
lie out of order have come, and nobody looks at the oldest part's buffer any more."""


class Bytes(Protocol):
    """Where missing bytes come from (``source.ObjectClient``)."""

    async def fill(
        self, content: CachedObject, span: Span, buffer: memoryview, progress: Progress
    ) -> None:
        """Fill ``buffer`` with ``span``; ``progress`` says how far it is valid."""
        ...


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
        arena: Arena | None = None,
    ) -> None:
        self._source = source
        self._nursery = nursery
        self._memory = MemoryTier(memory_bytes, arena)
        self._timeout_s = timeout_s
        self._slots = ConnectionLimiter(connections, connections_per_file)
        self._disk = DiskTier(store, sha1_of, timeout_s=timeout_s)
        self._objects = OpenObjects(self._memory, self._disk, nursery)
        self.epoch = 0
        """Moves when memory or a connection was given back."""

    @property
    def memory_used(self) -> int:
        """Bytes of all buffers in use."""
        return self._memory.used_bytes

    def share_budget(self, elsewhere_bytes: Callable[[], int]) -> None:
        """The memory budget is for that as well."""
        self._memory.elsewhere_bytes = elsewhere_bytes

    def settle(self) -> None:
        """Give back what the budget no longer allows. For whoever made more of what shares it."""
        self._memory.settle()

    def extents(self) -> list[Extent]:
        """All extents that have a buffer, least recently used first."""
        return list(self._memory)

    def is_settled(self) -> bool:
        """Whether nothing is on its way, neither from the source nor to the disk."""
        return all(run.done and run.saved for run in self._memory)

    def drop_memory(self) -> None:
        """Give back all buffers that may be given back now."""
        self._memory.make_room(self._memory.budget_bytes, consumed_only=False)

    def gauges(self) -> dict[str, int]:
        """What is held now: all but memory and objects are 0 on an idle drive."""
        runs = list(self._memory)
        return {
            "memory_bytes": self._memory.used_bytes,
            "objects": len(self._objects),
            "users": sum(opened.users for opened in self._objects),
            "flying": sum(not run.done for run in runs),
            "pins": sum(run.pins for run in runs),
            "slots": self._slots.in_use,
            **self._disk.gauges(),
        }

    # Objects

    async def open(self, file: File, size_bytes: int) -> CachedObject:
        """The object of a version, of its authoritative size; to be closed once per open."""
        return await self._objects.open(file, size_bytes)

    async def look_up(self, storage_ids: Iterable[StorageId]) -> None:
        """These will be opened soon, in the next seconds: to save them a look at the disk each."""
        await self._objects.look_up(storage_ids)

    def close(self, opened: CachedObject) -> None:
        opened.users -= 1

    async def drain(self) -> None:
        """Before the end: wait until what was fetched is on disk."""
        await self._disk.drain()

    # Reading

    def ready(self, opened: CachedObject, span: Span) -> Data | None:
        """The bytes if they are at hand without waiting: from an extent, or from the page cache."""
        generation = opened.generation
        if generation.state is State.DETACHED:
            return None
        run = opened.extents.get(span.start // BLOCK_BYTES)
        if run is None:
            data: Data | None = self._disk.peek(opened, span)
        elif run.holds(span):
            self._memory.touch(run)
            data = self._given_out(run, opened, span)
        else:
            data = self._joined(opened, span)
        if data is not None:
            generation.given = True
        return data

    def _given_out(self, run: Extent, opened: CachedObject, span: Span) -> memoryview:
        view = run.slice(span)
        if run.consumed >= run.span.length:
            self._used_up(run, opened)
        return view

    def _used_up(self, run: Extent, opened: CachedObject) -> None:
        """Its memory may be had now. That of a part that is at rest goes to the next one at once:
        the bytes are in the kernel's cache and on disk, and a buffer that was used just now is
        still in the processor's, where a new one has to be faulted in page by page."""
        self.epoch += 1
        if (
            (run.speculative or run.span.length >= MIN_PART_BYTES)  # of a stream
            and run not in opened.consumed
            and all(map(opened.on_disk, range(run.blocks.start, run.blocks.stop)))
        ):
            opened.consumed.append(run)
            if len(opened.consumed) > CONSUMED_PARTS:
                self._memory.drop(opened.consumed.popleft(), opened)

    def _joined(self, opened: CachedObject, span: Span) -> Data | None:
        """Bytes across runs, if all of them hold theirs."""
        pieces = []
        position = span.start
        while position < span.stop:
            run = opened.extents.get(position // BLOCK_BYTES)
            if run is None:
                return None
            piece = Span(position, min(span.stop, run.span.stop))
            if not run.holds(piece):
                return None
            self._memory.touch(run)
            pieces.append(self._given_out(run, opened, piece))
            position = piece.stop
        return b"".join(pieces)

    async def get(self, opened: CachedObject, span: Span) -> Data:
        """The bytes, waited for; fetched now if ``start`` did not do so before (or it failed)."""
        pieces: list[Data] = []
        position = span.start
        retried = False
        while position < span.stop:
            check(opened.generation, f"read {opened.file.name!r}")
            number = position // BLOCK_BYTES
            run = opened.extents.get(number)
            if run is None:
                self.start(opened, Span(position, span.stop), EMPTY)
                run = opened.extents[number]
            piece = Span(position, min(span.stop, run.span.stop))
            run.pins += 1
            try:
                await run.reach(piece.stop)
            except DriveError:
                # What was fetched ahead (or read from a bad disk) may fail without the reader's
                # having asked: its own question deserves its own answer, once.
                if retried or not (run.speculative or run.from_disk):
                    check(opened.generation, f"read {opened.file.name!r}")
                    raise
                retried = not run.from_disk
                self._memory.forget(run, opened)
                continue
            finally:
                run.pins -= 1
                if run.done and not run.pins:
                    self._memory.changed()  # who waits for room may have been told too early
            check(opened.generation, f"read {opened.file.name!r}")
            pieces.append(self._given_out(run, opened, piece))
            position = piece.stop
        opened.generation.given = True
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def start(
        self, opened: CachedObject, demand: Span, ahead: Span, part_bytes: int = PART_BYTES
    ) -> Span:
        """Begin to fetch what is missing of ``demand`` and, as far as there is room, of ``ahead``.

        Returns the part of ``ahead`` that is on its way or at hand; it always touches ``demand``'s
        side of it. Never waits.
        """
        wanted = blocks_of(ahead)
        for missing in self._pieces(opened, blocks_of(demand), wanted, part_bytes):
            self._launch(opened, missing, speculative=False)
        pieces = self._pieces(opened, wanted, EMPTY, part_bytes)
        backward = ahead.start < demand.start and ahead.stop <= demand.stop
        for missing in reversed(list(pieces)) if backward else pieces:
            if not self._launch(opened, missing, speculative=True):
                edge = bytes_of(missing, opened.size_bytes)
                span = Span(edge.stop, ahead.stop) if backward else Span(ahead.start, edge.start)
                return span if span.length else EMPTY
        return ahead

    def _pieces(
        self, opened: CachedObject, blocks: Span, extra: Span, part_bytes: int
    ) -> Iterator[Span]:
        """What is missing of ``blocks``, as runs of one kind (network or disk), each at most a
        part long; the last may grow into ``extra``, so that the first read of a stream and what
        is fetched ahead of it are one GET."""
        part_blocks = max(1, part_bytes // BLOCK_BYTES)
        small = opened.size_bytes <= SMALL_FILE_BYTES
        # (a backward stream's ahead may lie in the same block)
        covers = small and extra.start < blocks.start and extra.stop >= blocks.stop
        end = max(blocks.stop, extra.stop if extra.start <= blocks.stop else 0)
        number = blocks.start
        while number < blocks.stop:
            if number in opened.extents:
                number += 1
                continue
            disk = opened.on_disk(number)
            start = self._whole_small(opened, extra, number) if covers and not disk else number
            part = _DISK_PART_BLOCKS if disk else part_blocks
            whole = disk or part_bytes == PART_BYTES  # of full size: on multiples of it
            limit = min(end, start + (part - start % part if whole else part))
            stop = number + 1
            while stop < limit and stop not in opened.extents and opened.on_disk(stop) == disk:
                stop += 1
            yield Span(start, stop)
            number = stop

    @staticmethod
    def _whole_small(opened: CachedObject, extra: Span, number: int) -> int:
        """Where a small file's single GET starts when its first read is not at the top."""
        start = number
        while (
            start > extra.start
            and start - 1 not in opened.extents
            and not opened.on_disk(start - 1)
        ):
            start -= 1
        return start

    # Runs

    def _launch(self, opened: CachedObject, blocks: Span, *, speculative: bool) -> bool:
        """Start a run; False (and nothing done) for speculation that finds no room."""
        span = bytes_of(blocks, opened.size_bytes)
        from_disk = opened.on_disk(blocks.start)
        run = Extent(blocks, span, speculative=speculative, from_disk=from_disk)
        if speculative:
            if not self._memory.make_room(span.length, consumed_only=True):
                return False
            if not from_disk:
                if not self._slots.try_take(opened):
                    return False
                run.has_slot = True
            self._memory.allocate(run, opened)
        for number in range(blocks.start, blocks.stop):
            opened.extents[number] = run
        opened.users += 1
        self._nursery.start_soon(self._fly, run, opened)
        return True

    async def _fly(self, run: Extent, opened: CachedObject) -> None:
        """The life of a run: room, a connection, the bytes, the disk."""
        try:
            with deadline(self._timeout_s, f"read {opened.file.name!r}"):
                if run.buffer is None:
                    await self._memory.wait_for_room(run.span.length)
                    self._memory.allocate(run, opened)
                if run.from_disk or await self._disk.has_now(run, opened):
                    await self._disk.read(run, opened)
                else:
                    await self._fetch(run, opened)
        except Exception as error:
            if not isinstance(error, DriveError):
                log.exception("reading %r failed", opened.file.name)
            run.error = error
            self._memory.forget(run, opened)
        except BaseException:
            run.error = DriveError("the drive is shutting down")
            raise
        finally:
            if run.has_slot:
                self._slots.give(opened)
            self.epoch += 1
            run.done = True
            run.parking.unpark_all()
            if opened.detached:
                run.saved = True
                self._memory.forget(run, opened)
            self._memory.changed()
        if not run.saved:
            await self._keep(run, opened)
        opened.users -= 1

    async def _keep(self, run: Extent, opened: CachedObject) -> None:
        """What comes after the bytes; nothing that goes wrong here may end the drive."""
        try:
            await self._disk.save(run, opened)
            self.epoch += 1
            self._memory.changed()
            if await self._disk.proves_wrong(opened):
                for wrong in set(opened.extents.values()):
                    self._memory.forget(wrong, opened)
        except Exception:
            log.exception("keeping bytes of %r failed", opened.file.name)
        finally:
            run.saved = True
            if run.consumed >= run.span.length:
                self._used_up(run, opened)
            self._memory.changed()

    async def _fetch(self, run: Extent, opened: CachedObject) -> None:
        if not run.has_slot:
            await self._slots.take(opened)
            run.has_slot = True
        mark = opened.delivery.asked(trio.current_time())
        await self._source.fill(opened, run.span, run.sink(), run)
        opened.delivery.came(mark, run.span.length, trio.current_time())
