"""Real sizes of storage objects, where the listing has another one or none.

The listing's ``storageSize`` may disagree with the bytes; the signed answer's ``size`` is the
authority. What was learned is remembered, on disk too: storage objects do not change.
"""

from __future__ import annotations

import logging
import sqlite3
from functools import partial

from dmfs.blocks.store.block_store import BlockStore
from dmfs.errors import AccessError, GoneError, SignedOutError
from dmfs.fetch.object_client import ObjectClient
from dmfs.model import File
from dmfs.system.concurrency import in_thread
from dmfs.system.disk_threads import DiskThreads

log = logging.getLogger(__name__)


class ObjectSizes:
    """``of(file)`` never waits; ``learn(file)`` costs one signing call."""

    def __init__(self, source: ObjectClient, store: BlockStore | None) -> None:
        self._source = source
        self._store = store
        self._threads = DiskThreads(1)
        self._real: dict[str, int] = {}

    async def load(self) -> None:
        if self._store is not None:
            try:
                self._real.update(await in_thread(self._store.sizes))
            except (OSError, sqlite3.Error, ValueError) as error:
                log.warning("real sizes that were learned before are lost (%s)", error)

    def of(self, file: File) -> int:
        """What a read will deliver, as far as is known."""
        known = self._real.get(file.storage_id)
        return known if known is not None else file.size_bytes or 0

    def is_known(self, file: File) -> bool:
        """Whether ``of`` says anything: its listing told a size, or the real one was learned. (What
        was learned goes with the cache, and listings stay: such a file read as an empty one.)"""
        return file.size_bytes is not None or file.storage_id in self._real

    def may_wait(self, file: File) -> bool:
        """Whether an open may go by ``of(file)``: the first read that has to fetch something asks
        for the ``authoritative`` size."""
        return self.is_known(file) and self._source.may_wait(file)

    def is_signed(self, file: File) -> bool:
        """Whether its bytes can be fetched now without a signing."""
        return self._source.is_signed(file)

    async def authoritative(self, file: File) -> int:
        """The real size; signs the file if it was not signed yet. AccessError if it may not be
        read."""
        size_bytes = await self._source.size(file)
        if size_bytes != self.of(file) or not self.is_known(file):
            await self._remember(file, size_bytes)
        return size_bytes

    async def learn(self, file: File) -> None:
        """For a listing without a size. A file that may not be read stays at 0: its open gives the
        reason. DriveError if the size cannot be told now."""
        if file.storage_id in self._real:
            return
        try:
            await self.authoritative(file)
        except SignedOutError:
            raise  # says nothing of this file
        except (AccessError, GoneError) as error:
            log.debug("no size for %r: %s", file.name, error.message)

    async def _remember(self, file: File, size_bytes: int) -> None:
        self._real[file.storage_id] = size_bytes
        if self._store is None:
            return
        try:
            await self._threads.run(partial(self._store.remember_size, file.storage_id, size_bytes))
        except (OSError, sqlite3.Error) as error:
            log.debug("size not written to disk: %s", error)
