"""The stored objects that this process has open: their rows in the index and their files.

An object's row belongs to one generation. Rows of another one are removed if that generation is
known to be over (its successor was confirmed in this mount), and left alone otherwise: another
process may know better. Either way their blocks are not used.

Readers attach, refresh and release beside a transaction that may take seconds; what they find out
is written with the next one (``pending``). Fields of stored objects change under ``lock``, which is
never held for a call to the disk.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from pathlib import Path

from dmfs.blocks.store.eviction import Evictor
from dmfs.blocks.store.index import Index
from dmfs.blocks.store.index_view import IndexView
from dmfs.blocks.store.pending import Pending
from dmfs.blocks.store.sparse_file import SparseFile
from dmfs.blocks.store.stored_object import ABSENT, PRESENT, StoredObject, file_of
from dmfs.errors import SetupError
from dmfs.fetch.generation import State
from dmfs.model import StorageId
from dmfs.spans import Span
from dmfs.system.clock import wall_time_s
from dmfs.system.private_files import own_cache_directory

log = logging.getLogger(__name__)

_USED_AT_GRANULARITY_S = 60.0
"""LRU order is accurate to the minute: a finer one would make each read a write."""
_WRITER_PATIENCE_S = 1.0
"""Who finds the cache replaced waits so long for a transaction in the old one."""


class _Found(Enum):
    """What the index has of an object that was to be adopted."""

    NOTHING = "nothing"
    OURS = "ours"
    REMAINS = "remains that fit nothing"
    FOREIGN = "blocks of a generation that another process may be using"


class AttachedObjects:
    """``attach`` an object, make it ``writable``, ``release`` it."""

    def __init__(self, directory: Path, index: Index, evictor: Evictor) -> None:
        self._directory = directory
        self._index = index
        self._evictor = evictor
        self.lock = threading.Lock()
        self.pending = Pending()
        self._objects: dict[int, StoredObject] = {}
        self._made: list[tuple[StoredObject, SparseFile]] = []
        """Rows and files of the transaction that is under way."""

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, stored: object) -> bool:
        return id(stored) in self._objects

    def rows(self) -> set[int]:
        """Rows of all attached objects. (Copied in one step: the loop may add one.)"""
        return {stored.row for stored in list(self._objects.values())}

    def add(self, stored: StoredObject) -> None:
        """Attach an object without a look at the disk. A single step: may be called on the loop."""
        self._objects[id(stored)] = stored

    def attach(self, stored: StoredObject) -> None:
        """Attach an object with what is at rest of it. Remains that fit nothing go with the
        next transaction."""
        self.add(stored)
        try:
            if self._adopt(stored, self._index.reading) is _Found.REMAINS:
                self._note_remains(stored.storage_id)
        except BaseException:
            self.release(stored)
            raise
        now = wall_time_s()
        if stored.row and now - stored.touched_at > _USED_AT_GRANULARITY_S:
            stored.touched_at = now
            self.pending.used(stored.row, now)

    def release(self, stored: StoredObject) -> None:
        """Close an object's file. A second call does nothing."""
        with self.lock:
            known = self._objects.pop(id(stored), None)
            files = [] if known is None else _detached_files(stored)
        for file in files:
            file.close()

    def release_all(self) -> None:
        """Close all files."""
        for stored in list(self._objects.values()):
            self.release(stored)

    def refresh(self, stored: StoredObject, blocks: Span) -> None:
        """Learn what other processes have put there meanwhile."""
        with self.lock:
            row, file = stored.row, stored.data
        if not row:
            self._adopt(stored, self._index.reading)
        elif self._accepted(stored, row, self._index.reading) is not None:
            found = self._index.reading.crcs(row, blocks.start, blocks.stop)
            with self.lock:
                if stored.data is file:
                    _learn(stored, found)

    @contextmanager
    def writing(self, objects: Sequence[StoredObject]) -> Iterator[None]:
        """A transaction that may make the objects' rows and files. Rolled back, it leaves the
        objects without them (the next objects would get the same numbers)."""
        with self._index.lock:
            self._made = []
            try:
                with self._index.transaction():
                    self.pending.write(self._index)
                    yield
            except BaseException:
                self._undo(objects)
                raise
            self._evictor.delete(self.pending.done())

    def _note_remains(self, storage_id: StorageId) -> None:
        found = self._index.reading.find(storage_id)
        if found is not None:
            self.pending.remains(found.id)

    def _undo(self, objects: Sequence[StoredObject]) -> None:
        with self.lock:
            for stored in objects:
                stored.etags = {}
            for stored, file in self._made:
                if stored.data is file:
                    stored.states[:] = bytes(len(stored.states))
                    stored.data, stored.row = None, 0
        for _, file in self._made:
            file.close()

    def writable(self, stored: StoredObject) -> bool:
        """Make sure, inside a transaction, that the object has a row with the ETags known so far.

        False if no blocks may be written: the object was released, the row was removed or belongs
        to another generation, or the disk is read-only.
        """
        if stored not in self or stored.generation.state is State.DETACHED:
            return False
        if stored.row:
            usable = file_of(stored).writable and self._index.alive(stored.row)
            return usable and self._record_etags(stored)
        found = self._adopt(stored, self._index)
        if found is _Found.FOREIGN:
            return False
        if found is _Found.REMAINS:
            self._remove(stored.storage_id)
        if not stored.row:
            now = wall_time_s()
            row = self._index.add_object(stored.storage_id, stored.size_bytes, now)
            data = self._open_data(row, os.O_CREAT)
            self._made.append((stored, data))
            with self.lock:
                stored.data, stored.row, stored.touched_at = data, row, now
        elif found is not _Found.OURS and not self._index.alive(stored.row):
            return False  # a reader adopted just what was removed here
        return self._record_etags(stored)

    def touch(self, stored: StoredObject) -> None:
        """The object is used now. Inside a transaction."""
        now = wall_time_s()
        if abs(now - stored.touched_at) > _USED_AT_GRANULARITY_S:
            stored.touched_at = now
            self._index.touch([(stored.row, now)])

    def recover(self) -> None:
        """Begin anew where the cache was deleted, or replaced by another one, under a running
        drive: what is at rest there now is not ours. Outside of transactions.

        Files stay open until their object is released: a thread may be reading one.
        """
        if not self._index.replaced():
            return
        if not self._index.lock.acquire(timeout=_WRITER_PATIENCE_S):
            raise OSError(errno.ESTALE, "the cache directory was replaced, and its disk is busy")
        try:
            if self._index.replaced():
                self._begin_anew()
        finally:
            self._index.lock.release()

    def _begin_anew(self) -> None:
        log.warning("the cache directory %s was replaced; starting anew in it", self._directory)
        with self.lock:
            for stored in list(self._objects.values()):
                stored.states[:] = bytes(len(stored.states))
                stored.old_files += [stored.data] if stored.data is not None else []
                stored.data, stored.row, stored.checked, stored.etags = None, 0, False, {}
        self.pending.forget_rows()
        try:
            own_cache_directory(self._directory.parent)
            own_cache_directory(self._directory)
        except SetupError as error:
            raise OSError(errno.EACCES, error.message) from None
        self._index.reopen()

    def _adopt(self, stored: StoredObject, index: IndexView) -> _Found:
        """Open what is at rest of the object, if it is of the same generation."""
        if stored.generation.state is State.DETACHED:
            return _Found.FOREIGN  # what is there is of its successor
        found = index.find(stored.storage_id)
        if found is None:
            return _Found.NOTHING
        if found.size_bytes != stored.size_bytes:
            return _Found.REMAINS
        try:
            data = self._open_data(found.id, 0)
        except FileNotFoundError:
            return _Found.REMAINS
        ours = False
        try:
            # Locked only now; another process may have evicted it a moment ago.
            if not index.alive(found.id):
                return _Found.NOTHING
            etags = self._accepted(stored, found.id, index)
            if etags is None:
                return _Found.REMAINS if stored.generation.number else _Found.FOREIGN
            crcs = index.crcs(found.id, 0, len(stored.states))
            with self.lock:
                # not if another thread was faster, or the object was released meanwhile
                ours = not stored.row and stored in self
                if ours:
                    stored.row, stored.data, stored.touched_at = found.id, data, found.used_at
                    stored.checked, stored.etags = bool(found.checked), etags
                    _learn(stored, crcs)
            return _Found.OURS
        finally:
            if not ours:
                data.close()

    @staticmethod
    def _accepted(
        stored: StoredObject, row: int, index: IndexView
    ) -> dict[tuple[int, int], str] | None:
        """The ETags at rest, if the object's generation has the same; None otherwise."""
        etags = index.etags(row)
        if not stored.generation.accept(etags, has_blocks=index.has_blocks(row)):
            return None
        return etags

    def _record_etags(self, stored: StoredObject) -> bool:
        """Before the first block under an ETag; False if the index has another one."""
        etags = stored.generation.etags()
        if etags == stored.etags:
            return True
        known = self._index.etags(stored.row)
        if any(known.get(stretch, etag) != etag for stretch, etag in etags.items()):
            return False
        new = {stretch: etag for stretch, etag in etags.items() if stretch not in known}
        self._index.add_etags(stored.row, new)
        stored.etags = etags
        return True

    def _remove(self, storage_id: StorageId) -> None:
        found = self._index.find(storage_id)
        if found is not None:
            self._evictor.remove(found.id)

    def _open_data(self, row: int, create: int) -> SparseFile:
        if self._index.replaced():
            raise OSError(errno.ESTALE, "the cache directory was replaced under a running drive")
        return SparseFile(self._evictor.path(row), create)


def _learn(stored: StoredObject, numbers: Iterable[int]) -> None:
    """Blocks that are at rest, as the index says."""
    for number in numbers:
        if number in range(len(stored.states)) and stored.states[number] == ABSENT:
            stored.states[number] = PRESENT


def _detached_files(stored: StoredObject) -> list[SparseFile]:
    """Leave an object with nothing at rest; the files that are to be closed."""
    stored.states[:] = bytes(len(stored.states))  # before the number of the file is free
    files = [*stored.old_files, *([stored.data] if stored.data is not None else [])]
    stored.data, stored.row, stored.old_files, stored.etags = None, 0, [], {}
    return files
