"""The bytes of one draft: written, read, and confirmed as generations.

    write ──▶ memory (1 MiB) ──▶ data file ── fdatasync, one FULL transaction ──▶ generation

A generation is immutable: the file only grows, and its map is frozen. Who starts over (O_TRUNC)
gets a new file; the old one stays until the next confirmation is durable.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import trio

from dmfs.errors import DriveError, SpoolError
from dmfs.spans import MIB
from dmfs.write.records import Change, DraftId
from dmfs.write.spool.data_file import DataFile, Services, Stretch, close_all
from dmfs.write.spool.extents import ExtentMap, is_zero
from dmfs.write.spool.snapshot import (
    Confirmed,
    Generation,
    ReadBase,
    Snapshot,
    card_of,
    copied,
    pieces_of,
    read_other,
    row_of,
    show,
)

log = logging.getLogger(__name__)

GARBAGE_BYTES = 64 * MIB
"""A file is written anew when it is longer than twice the draft and that."""


class Content:
    """One draft's bytes. Changes are atomic between two awaits."""

    def __init__(self, draft_id: DraftId, services: Services) -> None:
        self.draft_id = draft_id
        self._services = services
        self._map = ExtentMap()
        self._file = services.new_file(draft_id, 1)
        self._files = {self._file}
        """Those that exist, or may."""
        self._last_number = 1
        self.size_bytes = 0
        self.mtime_ns = 0
        self._news = 1
        """Counts changes."""
        self._confirmed_news = 0
        self._generation: Generation | None = None
        self._last_generation = 0
        """The last number that was given out: a failed confirmation uses one up."""
        self._stored: Generation | None = None
        """What the journal's pieces are of; None where that is not certain."""
        self._uncertain: set[DataFile] = set()
        """Files of confirmations that failed: the journal may name one all the same."""
        self._snapshots: set[Snapshot] = set()
        self._readers: Counter[DataFile] = Counter()
        """Reads under way."""
        self._order = trio.Lock()
        """Of what appends."""
        self._confirming = trio.Lock()
        self._draft: Mapping[str, Any] | None = None
        """The draft's row, as far as it passed here."""
        self._gone = ""
        """Words, when it takes no more."""

    @classmethod
    def recovered(
        cls, draft_id: DraftId, services: Services, found: Generation, damage: str
    ) -> Content:
        """As the journal has it. ``damage``: what is wrong with its bytes, if anything."""
        content = cls(draft_id, services)
        content._files = {found.file}
        content._file, content._last_number = found.file, found.file.number
        content._generation = content._stored = found
        content._last_generation = found.number
        content._map = found.extents.freeze()
        content.size_bytes, content.mtime_ns = found.size_bytes, found.mtime_ns
        content._confirmed_news = content._news
        found.file.broken = damage
        services.room.used_bytes += found.file.end
        return content

    @property
    def generation(self) -> int:
        """The last confirmed one; 0: none yet."""
        return 0 if self._generation is None else self._generation.number

    @property
    def dirty(self) -> bool:
        """Whether there is news since the last confirmation: bytes, size or mtime."""
        return self._news != self._confirmed_news

    @property
    def confirmed(self) -> Confirmed | None:
        """The last one, None before the first."""
        found = self._generation
        return None if found is None else Confirmed(found.number, found.size_bytes, found.mtime_ns)

    @property
    def damaged(self) -> str:
        """What is wrong with its bytes on the disk, in words; '' if nothing is known."""
        return self._file.broken

    # Writing

    def start_over(self, base_bytes: int) -> None:
        """From now on it is the base version's first ``base_bytes`` bytes (0: O_TRUNC). What was
        confirmed stays that until the next confirmation."""
        self._map = ExtentMap(base_bytes)
        self.size_bytes = base_bytes
        self._news += 1
        if self._file.end:
            self._last_number += 1
            self._file = self._services.new_file(self.draft_id, self._last_number)
            self._files.add(self._file)

    async def write(self, offset: int, data: bytes | memoryview, *, mtime_ns: int) -> None:
        """NoRoomError, SpoolLimitError, SpoolError: nothing is changed."""
        room, length = self._services.room, len(data)
        if not length:
            return
        async with self._appending():
            if offset >= self.size_bytes and is_zero(data):
                self._changed(offset + length, mtime_ns)  # posix_fallocate, and cp of holes
                return
            await room.reserve(length)
            try:
                while self._file.is_full(length):
                    await self._file.spill()
            except BaseException:
                room.give_back(length)
                raise
            self._put(offset, bytes(data), mtime_ns)
            if room.is_crowded:
                with suppress(DriveError):  # it is in memory: who writes or saves next is told
                    await self._file.spill()

    def write_now(self, offset: int, data: bytes, *, mtime_ns: int) -> bool:
        """As ``write``, where nothing has to be waited for. False: nothing is changed."""
        if (
            not data
            or self._gone
            or self._order.locked()
            or self._file.is_full(len(data))
            or (offset >= self.size_bytes and not (data[0] or data[-1]))
            or not self._services.room.reserve_now(len(data))
        ):
            return False
        self._put(offset, data, mtime_ns)
        self._file.spill_behind()
        return True

    def _put(self, offset: int, data: bytes, mtime_ns: int) -> None:
        stop = offset + len(data)
        self._map.put(offset, stop, self._file.append(data))
        self._changed(max(self.size_bytes, stop), mtime_ns)

    def _changed(self, size_bytes: int, mtime_ns: int) -> None:
        self.size_bytes, self.mtime_ns = size_bytes, mtime_ns
        self._news += 1

    async def truncate(self, size_bytes: int, *, mtime_ns: int) -> None:
        """Shrink it, or grow it by a hole."""
        async with self._appending():
            if size_bytes < self.size_bytes:
                self._map.cut(size_bytes)
            self._changed(size_bytes, mtime_ns)

    @asynccontextmanager
    async def _appending(self) -> AsyncIterator[None]:
        try:
            self._order.acquire_nowait()  # a step of the loop costs more than a small write
        except trio.WouldBlock:
            await self._order.acquire()
        try:
            if self._gone:
                raise SpoolError(self._gone)
            yield
        finally:
            self._order.release()

    # Reading

    async def read(self, offset: int, length: int, read_base: ReadBase) -> bytes:
        """What was written, confirmed or not; holes are zeros, the end is the end."""
        stop = min(offset + length, self.size_bytes)
        if stop <= offset:
            return b""
        file, pieces = self._file, self._map.pieces(offset, stop)
        mark, stretches = file.sums.mark, []
        memory: dict[int, list[bytes]] = {}
        for index, piece in enumerate(pieces):
            if piece.kind == "data":
                in_file, memory[index] = file.in_memory(piece.position, piece.length)
                stretches.append(Stretch(piece.position, in_file))
        on_disk = [each for each in stretches if each.length]
        self._readers[file] += 1
        try:
            data = iter(await file.read(on_disk, mark, strictly=False))
        finally:
            self._readers[file] -= 1
        wanted, found = iter(stretches), []
        for index, piece in enumerate(pieces):
            if piece.kind != "data":
                found.append(await read_other(piece, read_base))
                continue
            if next(wanted).length:
                found.append(next(data))
            found += memory[index]
        return found[0] if len(found) == 1 else b"".join(found)

    # Generations

    async def confirm(self, changes: Callable[[Confirmed], Sequence[Change]]) -> Confirmed:
        """Make what is written until now survive a power loss, with the rows of ``changes`` in the
        same transaction. Runs to its end, or to an error: then nothing is confirmed, and the
        generation before stays. Without news: that one, without a call to the disk."""
        if not self.dirty and self.confirmed is not None:
            return self.confirmed
        with trio.CancelScope(shield=True):
            async with self._confirming:
                if self.dirty or self.confirmed is None:  # else another caller took our news along
                    if self._gone:
                        raise SpoolError(self._gone)
                    await self._confirm(changes)
        assert self.confirmed is not None
        return self.confirmed

    async def _confirm(self, changes: Callable[[Confirmed], Sequence[Change]]) -> None:
        async with self._order:
            while self._file.tail_bytes:  # once more if it started over meanwhile
                await self._file.spill()
            file = self._file
            news = self._news
            self._last_generation += 1
            generation = Generation(
                self._last_generation, self.size_bytes, self.mtime_ns, self._map.freeze(), file,
                file.sums.mark,
            )  # fmt: skip
            self._uncertain.add(file)
        await self._commit(generation, changes)
        self._confirmed_news = news
        await self._retire()
        await show(generation, self._draft, self._services.disk)
        if self._is_wasteful(4):
            await self._compact(wait=True)

    async def _commit(
        self, generation: Generation, changes: Callable[[Confirmed], Sequence[Change]]
    ) -> None:
        """Durable bytes first, then the rows that name them."""
        await generation.file.sync()
        confirmed = Confirmed(generation.number, generation.size_bytes, generation.mtime_ns)
        rows = list(changes(confirmed))
        pieces = pieces_of(self.draft_id, self._stored, generation)
        self._stored = None
        await self._services.commit([*rows, row_of(self.draft_id, generation)], [pieces])
        self._stored = self._generation = generation
        self._uncertain.clear()
        self.note(rows)

    def note(self, changes: Sequence[Change]) -> None:
        """Rows that went into the journal: the card has what they say of this draft."""
        for change in changes:
            if change.kind == "draft" and change.key == self.draft_id:
                self.know(change.record)

    def know(self, draft: Mapping[str, Any] | None) -> None:
        """The draft's row."""
        self._draft = draft

    def snapshot(self) -> Snapshot:
        """The last confirmed generation; ``release`` it. SpoolError if there is none."""
        if self._generation is None or self._gone:
            raise SpoolError(self._gone or "nothing of this draft was saved yet")
        snapshot = Snapshot(self._generation)
        self._snapshots.add(snapshot)
        return snapshot

    def release(self, snapshot: Snapshot) -> None:
        """It is not used any more. Its file goes with the next confirmation, or at the next
        start."""
        self._snapshots.discard(snapshot)

    async def _retire(self) -> None:
        """Remove files that nobody uses any more."""
        used = {self._file, *self._uncertain, *(each.file for each in self._snapshots)}
        used |= (+self._readers).keys()
        self._readers = +self._readers
        if self._generation is not None:
            used.add(self._generation.file)
        for file in self._files - used:
            await file.at_rest()
            self._files.discard(file)
            self._forget(file)
            try:
                await self._services.disk.run(file.delete, "remove old bytes")
            except DriveError as error:
                log.warning("%s stays until the next start: %s", file.path, error.message)

    def _forget(self, file: DataFile) -> None:
        room = self._services.room
        room.give_back(file.tail_bytes)
        room.freed(file.spilled)

    # Compaction

    def _is_wasteful(self, times: int = 1) -> bool:
        found = self._generation
        most = GARBAGE_BYTES if found is None else 2 * found.size_bytes + GARBAGE_BYTES
        return found is not None and found.mark.end > times * most

    async def tend(self) -> None:
        """Remove what is not needed any more, and write the file anew if most of it is not. Gives
        way to whoever writes meanwhile."""
        if self._gone:
            return
        with trio.CancelScope(shield=True):
            async with self._confirming:
                await self._retire()
                if self._is_wasteful():
                    await self._compact(wait=False)

    async def _compact(self, *, wait: bool) -> None:
        """Write the confirmed bytes into a new file, in their order. Whoever writes waits if
        ``wait``, else wins."""
        if wait:
            async with self._order:
                await self._copy_and_change()
        else:
            await self._copy_and_change()

    async def _copy_and_change(self) -> None:
        old = self._generation
        if old is None or self.dirty or old.file is not self._file or old.file.tail_bytes:
            return
        news = self._news
        self._last_number += 1
        file = self._services.new_file(self.draft_id, self._last_number)
        self._files.add(file)
        try:
            fresh = await copied(old, file, self._services.room, lambda: self._news == news)
            if fresh is None:
                return
            await file.sync()
            self._uncertain.add(file)
            pieces = pieces_of(self.draft_id, None, fresh)
            self._stored = None
            await self._services.commit([row_of(self.draft_id, fresh)], [pieces])
            self._stored = self._generation = fresh
            self._uncertain.discard(file)
            if self._news == news and self._file is old.file:
                self._file, self._map = file, fresh.extents.freeze()
            await show(fresh, self._draft, self._services.disk)
        except DriveError as error:
            log.warning("%s is not made smaller: %s", old.file.path, error.message)
        finally:
            await self._retire()

    # The end

    @asynccontextmanager
    async def ending(self, words: str) -> AsyncIterator[None]:
        """No change during the body, and nothing after it if that did not raise."""
        async with self._confirming, self._order:
            yield
            self._gone = words  # nothing begins any more
            await self.at_rest()
            files = self.end(words)
        with suppress(DriveError):
            await self._services.disk.run(lambda: close_all(files), "remove a draft")

    async def at_rest(self) -> None:
        """Wait for what is on its way to the files."""
        for file in list(self._files):
            await file.at_rest()

    def end(self, words: str) -> set[DataFile]:
        """It takes nothing more, and ``words`` say why; returns files that are to be closed."""
        self._gone = words
        for file in self._files:
            self._forget(file)
        files, self._files = self._files, set()
        return files

    def discarded_card(self) -> dict[str, Any]:
        """The card of what is discarded: with all extents, for the journal forgets them."""
        found = self._generation
        return {} if found is None else card_of(found, self._draft, with_all=True)
