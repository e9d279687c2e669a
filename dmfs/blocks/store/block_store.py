"""Blocks at rest: one sparse file per storage object, an SQLite index beside them.

    <cache>/blocks-3/index.db       which blocks there are, with their checksums
    <cache>/blocks-3/data/07/1031   the bytes of object 1031 at their own offsets, with holes

A row is written after its bytes, and its CRC is seeded with the storage id and the block number,
so that after a crash, a truncation or a mix-up the checksum decides: a bad block is a miss, never
an error, never a wrong byte. Several processes share one cache: object ids are never used twice,
an open file has a shared flock, and an eviction must get the exclusive one first.

All methods block and are called in threads, except ``peek``, ``attach_absent`` and
``remember_size``. Those that write (``write``, ``write_small``, ``verify``, ``tidy``, ``close``)
take as long as the disk takes; the others wait for no write.
Measured, 1 MiB values: put 224 µs here, 2250 µs in diskcache; read with a cold page cache 396
against 1074 µs.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import mmap
import os
import random
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from dmfs.blocks.store.attached import AttachedObjects
from dmfs.blocks.store.eviction import Evictor
from dmfs.blocks.store.held import HeldObjects
from dmfs.blocks.store.index import open_index
from dmfs.blocks.store.inventory import Inventory
from dmfs.blocks.store.leases import open_leases
from dmfs.blocks.store.pending import BadBlock
from dmfs.blocks.store.sparse_file import SparseFile
from dmfs.blocks.store.stored_object import (
    ABSENT,
    VERIFIED,
    StoredObject,
    block_of,
    crcs_of,
    file_of,
    right_bytes,
)
from dmfs.fetch.generation import Generation
from dmfs.model import StorageId
from dmfs.spans import BLOCK_BYTES, MIB, Span, block_count, bytes_of
from dmfs.system.private_files import own_cache_directory

log = logging.getLogger(__name__)

SMALL_WRITE_BYTES = MIB
"""Up to here bytes are written inside the transaction: under a millisecond, and one transaction
instead of two for each small file."""
_PEEK_BYTES = 64 * 1024  # below the kernel's reads of a stream: 128 KiB and more

SIZES_MAX = 100_000
"""Real sizes that a start reads: some 20 MB. Those of others are asked for again."""

SmallWrite = tuple[StoredObject, int, memoryview]
"""Whole blocks of an object, from a block on: at most SMALL_WRITE_BYTES."""


DIRECTORY = "blocks-3"
"""In the cache directory. The name changes with the format of the index: an older dmfs that still
runs would go on writing blocks without ETags into a shared index."""
OLDER_DIRECTORY = "blocks"


class BlockStore:
    """The disk cache of blocks. Raises OSError and sqlite3.Error; the caller then goes without."""

    def __init__(self, directory: Path, *, limit_bytes: int, free_percent: int) -> None:
        self._nowait = getattr(os, "RWF_NOWAIT", 0)
        self._written_blocks = self._refused_blocks = self._damaged_blocks = 0
        own_cache_directory(directory)
        _take_over(directory / OLDER_DIRECTORY, directory / DIRECTORY)
        self._directory, self._index = open_index(directory / DIRECTORY)
        self.leases = open_leases(directory)
        self.limit_bytes = limit_bytes
        self._evictor = Evictor(
            self._directory, self._index, limit_bytes=limit_bytes, free_percent=free_percent
        )
        self.attached = AttachedObjects(self._directory, self._index, self._evictor)
        self.inventory = Inventory(self._index, self._evictor, self.attached)
        self.held = HeldObjects(self._index, self._evictor, self.attached.recover)
        try:
            self._evictor.bury()
        except (OSError, sqlite3.Error) as error:
            log.debug("what was evicted is still there: %s", error)

    def close(self, *, hurry: bool = False) -> None:
        """``hurry``: with as little as possible for the disk to do."""
        with self._index.lock:
            if not hurry:
                with suppress(OSError, sqlite3.Error, ValueError, TypeError, ArithmeticError):
                    self.tidy()
            self.attached.release_all()
            self._index.close(hurry=hurry)
            if self.leases is not None:
                self.leases.close()

    @property
    def untidy(self) -> bool:
        """Whether reading found out enough for a ``tidy``."""
        return self.attached.pending.due

    def tidy(self) -> None:
        """Write down what reading found out: uses, damaged blocks, sizes."""
        with self._index.lock:
            self.attached.recover()
            with self.attached.writing([]):
                pass

    def attach(
        self, storage_id: StorageId, size_bytes: int, generation: Generation | None = None
    ) -> StoredObject:
        """Open an object, held against eviction until ``release``.

        What is at rest is used if the generation accepts the ETags that it came under. An object
        that has nothing at rest yet costs no file and no row until the first ``write``: a reader of
        small files would otherwise pay more for the cache than for the network.
        """
        stored = _stored(storage_id, size_bytes, generation)
        self.attached.recover()
        self.attached.attach(stored)
        return stored

    def absent(self, storage_ids: Sequence[StorageId]) -> set[StorageId]:
        """Those of some hundred objects of which nothing is at rest, in one query."""
        self.attached.recover()
        return set(storage_ids) - self._index.reading.present(storage_ids)

    def attach_absent(
        self, storage_id: StorageId, size_bytes: int, generation: Generation | None = None
    ) -> StoredObject:
        """As ``attach``, of an object that was ``absent`` just now. Never waits: for the loop."""
        stored = _stored(storage_id, size_bytes, generation)
        self.attached.add(stored)
        return stored

    def release(self, stored: StoredObject) -> None:
        """Close an object; it may now be evicted."""
        self.attached.release(stored)

    def refresh(self, stored: StoredObject, blocks: Span) -> None:
        """Learn what other processes have put there meanwhile."""
        self.attached.refresh(stored, blocks)

    def sample(self, stored: StoredObject) -> tuple[int, bytes] | None:
        """The number and the bytes of a good block at rest, chosen at random; None if there is
        none. OSError, sqlite3.Error."""
        last = block_count(stored.size_bytes)
        numbers = [n for n in self._index.reading.crcs(stored.row, 0, last) if n in range(last)]
        random.shuffle(numbers)
        for number in numbers:
            blocks = Span(number, number + 1)
            buffer = bytearray(bytes_of(blocks, stored.size_bytes).length)
            file_of(stored)
            if self.read(stored, blocks, memoryview(buffer)):  # one that is damaged is discarded
                return number, bytes(buffer)
        return None

    def peek(self, stored: StoredObject, span: Span) -> bytes | None:
        """Bytes that need no waiting: verified before and in the page cache. For the loop: 6 µs.

        Not for a stream's reads: asking makes the kernel read 8 MiB ahead into the page cache, and
        two copies into new pages cost as much as all the rest of a read.
        """
        file = stored.data  # another one as soon as the cache begins anew, in a thread
        if not self._nowait or file is None or span.length > _PEEK_BYTES:
            return None
        first, last = span.start // BLOCK_BYTES, (span.stop - 1) // BLOCK_BYTES
        if any(stored.states[number] != VERIFIED for number in range(first, last + 1)):
            return None
        buffer = bytearray(span.length)
        try:
            count = file.peek(buffer, span.start, self._nowait)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno in (errno.EOPNOTSUPP, errno.EINVAL):
                self._nowait = 0  # tmpfs and some others know no RWF_NOWAIT
            return None
        return bytes(buffer) if count == span.length and stored.data is file else None

    def read(self, stored: StoredObject, blocks: Span, buffer: memoryview) -> int:
        """Fill ``buffer`` with blocks from disk; returns how many bytes from the start are good."""
        with self.attached.lock:
            row, file = stored.row, stored.data
        if file is None:
            return 0
        span = bytes_of(blocks, stored.size_bytes)
        count = file.read(buffer, span.length, span.start)
        crcs = self._index.reading.crcs(row, blocks.start, blocks.stop)
        good = right_bytes(stored, blocks, buffer[:count], crcs)
        bad = blocks.start + block_count(good)
        self._verified(stored, file, range(blocks.start, bad))
        if good < span.length:
            self._discard(stored, row, file, bad, known=bad in crcs)
        return good

    def write(
        self, stored: StoredObject, first: int, data: memoryview, *, direct: bool = False
    ) -> bool:
        """Write whole blocks from block ``first`` on; False if there is no room for them.
        ``direct`` is for memory on a page's edge that may wait for the disk.

        Room is reserved first, so the limit holds at every moment; the bytes are written without
        the lock (8 MiB take milliseconds); the rows come last. A crash in between leaves room
        reserved for an object, which its eviction returns.
        """
        if len(data) <= SMALL_WRITE_BYTES:
            return self.write_small([(stored, first, data)])[0]
        self._make_room([(stored, first, data)])
        with self.attached.writing([stored]):
            blocks = self._reserve(stored, first, data)
            if blocks is None:
                return False
            file = file_of(stored)
        if not self._write_large(stored, file, first, data, blocks, direct):
            return False
        # only now: a rolled back row may be another object's tomorrow
        self._verified(stored, file, blocks)
        self._written_blocks += len(blocks)
        return True

    def write_small(self, writes: Sequence[SmallWrite]) -> list[bool]:
        """As ``write``, of several in one transaction: all are written, or none if one fails."""
        self._make_room(writes)
        put: list[tuple[StoredObject, SparseFile, Mapping[int, memoryview]] | None] = []
        with self.attached.writing([stored for stored, _, _ in writes]):
            for stored, first, data in writes:
                blocks = self._reserve(stored, first, data)
                if blocks is None:
                    put.append(None)
                    continue
                file = file_of(stored)
                file.write(data, first * BLOCK_BYTES, direct=False)
                self._index.add_blocks(stored.row, crcs_of(stored, blocks))
                put.append((stored, file, blocks))
        for each in put:
            if each is not None:
                self._verified(*each)
                self._written_blocks += len(each[2])
        return [each is not None for each in put]

    def _make_room(self, writes: Sequence[SmallWrite]) -> None:
        """Evict what is in the way of ``writes``, as far as that is possible, before the
        transaction that reserves their room."""
        self.attached.recover()
        need_bytes = 0
        for stored, first, data in writes:
            numbers = range(first, first + block_count(len(data)))
            have = self._index.crcs(stored.row, numbers.start, numbers.stop) if stored.row else {}
            need_bytes += sum(len(block_of(data, n - first)) for n in numbers if n not in have)
        need_bytes = min(need_bytes, self._evictor.limit_bytes)  # each is weighed again
        if not self._evictor.fits(need_bytes):  # else no open file need be looked at
            self._evictor.make_room(need_bytes, self.attached.rows())

    def _reserve(
        self, stored: StoredObject, first: int, data: memoryview
    ) -> dict[int, memoryview] | None:
        """Reserve room for the blocks that are not at rest yet, inside a transaction. None if there
        is no room, or if blocks of this object may not be written."""
        last = first + block_count(len(data))
        if not self.attached.writable(stored):
            self._refused_blocks += last - first
            return None
        have = self._index.crcs(stored.row, first, last)
        blocks = {n: block_of(data, n - first) for n in range(first, last) if n not in have}
        added = sum(len(block) for block in blocks.values())
        if not self._evictor.fits(added):
            self._refused_blocks += last - first
            return None
        self._index.account(stored.row, added)
        self.attached.touch(stored)
        return blocks

    def _verified(self, stored: StoredObject, file: SparseFile, numbers: Iterable[int]) -> None:
        """Blocks that are known to be right, unless the cache began anew meanwhile."""
        with self.attached.lock:
            for number in numbers if stored.data is file else ():
                stored.states[number] = VERIFIED

    def _write_large(
        self,
        stored: StoredObject,
        file: SparseFile,
        first: int,
        data: memoryview,
        blocks: Mapping[int, memoryview],
        direct: bool,
    ) -> bool:
        """Bytes, then rows, for which room is reserved."""
        crcs = crcs_of(stored, blocks)
        try:
            file.write(data, first * BLOCK_BYTES, direct=direct)
        except BaseException:
            with self._index.transaction():
                if stored.data is file:
                    self._index.account(stored.row, -sum(len(block) for block in blocks.values()))
            raise
        with self.attached.writing([stored]):
            if stored.data is not file or not self.attached.writable(stored):
                return False  # wiped meanwhile, reservation and all
            before = self._index.crcs(stored.row, first, first + block_count(len(data)))
            twice = sum(len(block) for number, block in blocks.items() if number in before)
            self._index.account(stored.row, -twice)  # another process was faster
            self._index.add_blocks(stored.row, crcs)
        return True

    def verify(self, stored: StoredObject, sha1: str) -> bool:
        """Compare a complete object with the service's sha1; False drops all of its blocks.

        A disk in trouble may give other bytes once: only a second look condemns them.
        """
        file = file_of(stored)
        right = any(_sha1_of(file, stored.size_bytes) == sha1 for _ in range(2))
        if stored.data is not file:
            return True  # of a cache that is no more: nothing is proven
        stored.checked = True
        if right:
            self._index.mark_checked(stored.row)
            return True
        stored.states[:] = bytes(len(stored.states))
        with self._index.transaction():
            self._index.remove_blocks(stored.row)
        return False

    def gauges(self) -> dict[str, int]:
        """Counts so far, of this process. (Ints, changed under the index's lock or in one step.)"""
        return {
            "store.written_blocks": self._written_blocks,
            "store.refused_blocks": self._refused_blocks,
            "store.damaged_blocks": self._damaged_blocks,
            "store.evicted_objects": self._evictor.evicted_objects,
            "store.evicted_bytes": self._evictor.evicted_bytes,
        }

    def used_bytes(self) -> int:
        """Bytes of all blocks at rest."""
        return self._index.reading.total_bytes()

    def sizes(self) -> dict[str, int]:
        """Real sizes of the objects whose listing tells another one, or none: SIZES_MAX at most."""
        return self._index.reading.sizes(SIZES_MAX)

    def remember_size(self, storage_id: str, size_bytes: int) -> None:
        """With the next transaction, before any block that is written after this. Never waits."""
        self.attached.pending.size(storage_id, size_bytes)

    def _discard(
        self, stored: StoredObject, row: int, file: SparseFile, number: int, *, known: bool
    ) -> None:
        """Forget a block that is damaged or was never there: its row goes with the next
        transaction."""
        with self.attached.lock:
            if stored.data is not file:
                return
            stored.states[number] = ABSENT
        if not known:
            return
        self._damaged_blocks += 1
        log.info("block %d of object %d is damaged; it will be fetched again", number, row)
        size_bytes = bytes_of(Span(number, number + 1), stored.size_bytes).length
        self.attached.pending.bad(BadBlock(row, number, size_bytes))


def _stored(storage_id: StorageId, size_bytes: int, generation: Generation | None) -> StoredObject:
    if generation is None:
        generation = Generation(storage_id, size_bytes)
    return StoredObject(generation, size_bytes, bytearray(block_count(size_bytes)))


def _take_over(older: Path, newer: Path) -> None:
    """Go on with the cache of an older dmfs, once and under the new name. A dmfs of before that is
    running finds its cache gone and begins another one."""
    if not newer.exists():
        with suppress(OSError):  # there is none, or another process was faster
            older.rename(newer)


def _sha1_of(file: SparseFile, size_bytes: int) -> str:
    """Of all bytes; OSError where the disk gives fewer."""
    digest = hashlib.sha1(usedforsecurity=False)
    # not closed by hand: the traceback of a failed read still has a view of it
    buffer = memoryview(mmap.mmap(-1, 2 * MIB))
    for offset in range(0, size_bytes, len(buffer)):
        length = min(len(buffer), size_bytes - offset)
        count = file.read(buffer, length, offset)
        if count < length:
            raise OSError(errno.EIO, "the file of a stored object is too short")
        digest.update(buffer[:count])
    return digest.hexdigest()
