"""The stored objects that this process has open: their rows in the index and their files.

An object's row belongs to one generation. Rows of another one are removed if that generation is
known to be over (its successor was confirmed in this mount), and left alone otherwise: another
process may know better. Either way their blocks are not used. Methods run under the index's lock.
"""

from __future__ import annotations

import errno
import logging
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import Enum
from pathlib import Path

from dmfs.blocks.store.eviction import Evictor
from dmfs.blocks.store.index import Index
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
        self._objects: dict[int, StoredObject] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def __contains__(self, stored: object) -> bool:
        return id(stored) in self._objects

    def rows(self) -> list[int]:
        """Rows of all attached objects. (Copied in one step: the loop may add one.)"""
        return [stored.row for stored in list(self._objects.values())]

    def add(self, stored: StoredObject) -> None:
        """Attach an object without a look at the disk. A single step: may be called on the loop."""
        self._objects[id(stored)] = stored

    def attach(self, stored: StoredObject) -> None:
        """Attach an object with what is at rest of it."""
        if self._adopt(stored) is _Found.REMAINS:
            with self._index.transaction():
                self._remove(stored.storage_id)
        elif stored.row and wall_time_s() - stored.touched_at > _USED_AT_GRANULARITY_S:
            # a disk that has become read-only is still read from
            with suppress(sqlite3.OperationalError), self._index.transaction():
                self.touch(stored)
        self.add(stored)

    def release(self, stored: StoredObject) -> None:
        """Close an object's file. A second call does nothing."""
        if self._objects.pop(id(stored), None) is not None:
            self._close(stored)

    def release_all(self) -> None:
        """Close all files."""
        for stored in list(self._objects.values()):
            self.release(stored)

    def refresh(self, stored: StoredObject, blocks: Span) -> None:
        """Learn what other processes have put there meanwhile."""
        if not stored.row:
            self._adopt(stored)
        elif self._accepted(stored, stored.row):
            self._load_states(stored, blocks)

    @contextmanager
    def writing(self, objects: Sequence[StoredObject]) -> Iterator[None]:
        """A transaction that may make the objects' rows and files. Rolled back, it leaves the
        objects without them (the next objects would get the same numbers)."""
        new = [stored for stored in objects if not stored.row]
        try:
            with self._index.transaction():
                yield
        except BaseException:
            for stored in objects:
                stored.etags = {}
            for stored in new:
                self._close(stored)
            raise

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
        found = self._adopt(stored)
        if found is _Found.FOREIGN:
            return False
        if found is _Found.REMAINS:
            self._remove(stored.storage_id)
        if not stored.row:
            now = wall_time_s()
            row = self._index.add_object(stored.storage_id, stored.size_bytes, now)
            stored.data = self._open_data(row, os.O_CREAT)
            stored.row, stored.touched_at = row, now
        return self._record_etags(stored)

    def touch(self, stored: StoredObject) -> None:
        """The object is used now. Inside a transaction."""
        now = wall_time_s()
        if abs(now - stored.touched_at) > _USED_AT_GRANULARITY_S:
            stored.touched_at = now
            self._index.touch(stored.row, now)

    def recover(self) -> None:
        """Begin anew where the cache was deleted, or replaced by another one, under a running
        drive: what is at rest there now is not ours. Outside of transactions.

        Files stay open until their object is released: a thread may be reading one.
        """
        if not self._index.replaced():
            return
        log.warning("the cache directory %s was replaced; starting anew in it", self._directory)
        for stored in list(self._objects.values()):
            stored.states[:] = bytes(len(stored.states))
            stored.old_files += [stored.data] if stored.data is not None else []
            stored.data, stored.row, stored.checked, stored.etags = None, 0, False, {}
        try:
            own_cache_directory(self._directory.parent)
            own_cache_directory(self._directory)
        except SetupError as error:
            raise OSError(errno.EACCES, error.message) from None
        self._index.reopen()

    def _adopt(self, stored: StoredObject) -> _Found:
        """Open what is at rest of the object, if it is of the same generation."""
        if stored.generation.state is State.DETACHED:
            return _Found.FOREIGN  # what is there is of its successor
        found = self._index.find(stored.storage_id)
        if found is None:
            return _Found.NOTHING
        if found.size_bytes != stored.size_bytes:
            return _Found.REMAINS
        try:
            data = self._open_data(found.id, 0)
        except FileNotFoundError:
            return _Found.REMAINS
        # Locked only now; another process may have evicted it a moment ago.
        if not self._index.alive(found.id):
            data.close()
            return _Found.NOTHING
        if not self._accepted(stored, found.id):
            data.close()
            return _Found.REMAINS if stored.generation.number else _Found.FOREIGN
        stored.row, stored.data, stored.touched_at = found.id, data, found.used_at
        stored.checked = bool(found.checked)
        self._load_states(stored, Span(0, len(stored.states)))
        return _Found.OURS

    def _accepted(self, stored: StoredObject, row: int) -> bool:
        etags = self._index.etags(row)
        if not stored.generation.accept(etags, has_blocks=self._index.has_blocks(row)):
            return False
        stored.etags = etags
        return True

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

    @staticmethod
    def _close(stored: StoredObject) -> None:
        stored.states[:] = bytes(len(stored.states))  # before the number of the file is free
        files = [*stored.old_files, *([stored.data] if stored.data is not None else [])]
        stored.data, stored.row, stored.old_files, stored.etags = None, 0, [], {}
        for file in files:
            file.close()

    def _load_states(self, stored: StoredObject, blocks: Span) -> None:
        for number in self._index.crcs(stored.row, blocks.start, blocks.stop):
            if number in range(len(stored.states)) and stored.states[number] == ABSENT:
                stored.states[number] = PRESENT

    def _remove(self, storage_id: StorageId) -> None:
        found = self._index.find(storage_id)
        if found is not None:
            self._evictor.remove(found.id)

    def _open_data(self, row: int, create: int) -> SparseFile:
        if self._index.replaced():
            raise OSError(errno.ESTALE, "the cache directory was replaced under a running drive")
        return SparseFile(self._evictor.path(row), create)
