"""Listings on disk, shared by all mounts of a user.

diskcache below ``<cache>/listings/v<version>/``: small values in its SQLite table, long ones in
files. Values are text (``listing_codec``), never pickles: a pickle from that directory could run
code here. A damaged value and a value of another user or format version are misses.

One lock a directory lets one process send the request while the others wait for its answer.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import sqlite3
import threading
from collections.abc import Callable, Collection
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import diskcache
from diskcache.core import MODE_BINARY, MODE_RAW

from dmfs.names import id_hash
from dmfs.namespace.listing_codec import FORMAT_VERSION, BadRecordError, Record, decode, encode
from dmfs.system.byte_locks import ByteLocks
from dmfs.system.disk_health import DiskHealth, Kind
from dmfs.system.disk_threads import DiskThreads
from dmfs.system.private_files import private_directory

log = logging.getLogger(__name__)

T = TypeVar("T")

LIMIT_BYTES = 512 * 1024 * 1024
"""About 800 000 entries; diskcache evicts the listings that were written longest ago."""
DAMAGED_MAX = 5
"""Reads of a damaged database before it is made anew."""
THREADS = 4
"""Each has an SQLite connection of its own; the interpreter lock makes parsing sequential."""


class BytesDisk(diskcache.Disk):  # type: ignore[misc]  # diskcache has no types
    """Stores and fetches only bytes. diskcache's own Disk would unpickle other values."""

    def store(self, value: Any, read: bool, key: Any = diskcache.UNKNOWN) -> Any:
        if not isinstance(value, bytes):
            raise TypeError("this cache stores only bytes")
        return super().store(value, read, key=key)

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        if mode not in (MODE_RAW, MODE_BINARY):
            return b""
        return super().fetch(mode, filename, value, read)


class _Closing:
    """Closes a connection when its thread or its cache ends, whichever is first."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __del__(self) -> None:
        self._connection.close()


class ThreadsCache(diskcache.Cache):  # type: ignore[misc]
    """diskcache has a connection for each thread, closes that of the thread that says so, and
    leaves the others to the collector; Python 3.13 complains of each. Here they close by
    themselves. (A call that hangs in the disk still holds its cache, and so its connection.)"""

    @property
    def _con(self) -> sqlite3.Connection:
        known: sqlite3.Connection | None = getattr(self._local, "con", None)
        if known is not None:
            return known
        path = Path(self._directory) / "cache.db"
        connection = sqlite3.connect(
            path, timeout=self._timeout, isolation_level=None, check_same_thread=False
        )
        self._local.closing = _Closing(connection)
        self._local.con = connection
        try:
            settings = connection.execute("SELECT key, value FROM Settings").fetchall()
        except sqlite3.OperationalError:
            return connection  # a new one
        for key, value in settings:
            if key.startswith("sqlite_"):  # a PRAGMA, which each connection must be told
                self.reset(key, value, update=False)
        return connection

    def keys_holding(self, prefix: str, text: bytes) -> list[str]:
        """Keys that begin with ``prefix``, of values that hold a text or lie in files of their own
        (which are not looked into). 50 000 entries take 0.02 s."""
        rows = self._con.execute(
            "SELECT key FROM Cache WHERE substr(key, 1, ?) = ?"
            " AND (filename IS NOT NULL OR instr(value, ?))",
            (len(prefix), prefix, text),
        )
        return [key for (key,) in rows if isinstance(key, str)]


class ListingStore:
    """Listings on one disk. No method raises an error of the disk: without it every listing costs
    a request."""

    def __init__(self, directory: Path, partition: str) -> None:
        self._partition = partition
        self._directory = directory / "listings"
        self._version_directory = self._directory / f"v{FORMAT_VERSION}"
        # diskcache opens its file at first use in each thread; opening twice at once is slow
        self._opening = threading.Lock()
        self._cache: Any = None
        self._pinned_directory = self._directory / f"pinned-v{FORMAT_VERSION}"
        self._pinned: Any = None
        self._cache_file: tuple[int, int] | None = None
        self._damaged = 0
        self._threads = DiskThreads(THREADS)
        self._locks = ByteLocks(self._directory / "locks", self._threads)
        self._health = DiskHealth(log, "the disk that keeps listings", "asking the service instead")

    def close(self) -> None:
        """Call only when no other method is running."""
        self._cache = self._pinned = None  # the connections of all threads go with it
        self._locks.close()

    async def load(self, identity: str) -> Record | None:
        """The stored listing of a directory, however old."""
        return await self._try("read", partial(self._load, identity))

    async def holding(self, identifier: str) -> list[Record]:
        """The stored listings that name an id of the service, each once, and maybe others."""
        return await self._try("read", partial(self._holding, identifier)) or []

    async def save(self, record: Record) -> None:
        """Store a listing in place of an older one."""
        await self._try("write", partial(self._save, record))

    async def forget(self, identity: str) -> None:
        """Delete a listing: the service no longer shows the directory to this user."""
        await self._try("write", partial(self._forget, self._key(identity)))

    async def keep(self, identities: Collection[str]) -> None:
        """Keep just these (of this sign-in) beside the others, out of reach of their limit."""
        await self._try("write", partial(self._keep, identities))

    def lock(self, identity: str) -> AbstractAsyncContextManager[None]:
        """Lock a directory against other processes, as far as the disk allows; cancellable."""
        return self._locks.lock(int(id_hash(self._key(identity), 15), 16))

    async def _try(self, kind: Kind, work: Callable[[], T]) -> T | None:
        """Run ``work`` in a thread; None if the disk fails, which starts a pause."""
        if not self._health.usable(kind):
            return None
        try:
            result = await self._threads.run(work)
        except (OSError, sqlite3.Error, diskcache.Timeout, TypeError, ValueError) as error:
            self._health.failed(kind, error)
            return None
        if kind == "write":
            self._health.worked(kind)
        return result

    def _key(self, identity: str) -> str:
        return f"{self._partition} {identity}"

    def _load(self, identity: str) -> Record | None:
        try:
            raw = self._opened().get(self._key(identity))
            if raw is None and self._pinned_directory.exists():
                raw = self._pinned_cache().get(self._key(identity))
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            self._on_damage(error)
            return None
        if not isinstance(raw, bytes):
            return None
        try:
            record = decode(raw)
        except BadRecordError as error:
            log.info("a listing on disk is unusable (%s); it will be asked for again", error)
            return None
        return record if record.directory.identity == identity else None

    def _holding(self, identifier: str) -> list[Record]:
        text = json.dumps(identifier)[1:-1].encode()
        caches = [self._opened()]
        if self._pinned_directory.exists():
            caches.append(self._pinned_cache())
        found: dict[str, Record] = {}
        for cache in caches:
            for key in cache.keys_holding(self._key(""), text):
                raw = cache.get(key)
                if key in found or not isinstance(raw, bytes) or text not in raw:
                    continue
                with contextlib.suppress(BadRecordError):
                    found[key] = decode(raw)
        return list(found.values())

    def _on_damage(self, error: sqlite3.DatabaseError) -> None:
        """A page of the database is no use. What lies on the others still is, so one is a miss; but
        damage that shows again and again is everywhere."""
        self._damaged += 1
        log.info("a listing on disk is damaged (%s); it will be asked for again", error)
        if self._damaged >= DAMAGED_MAX:
            log.warning("the listings on disk are damaged (%s); starting anew", error)
            self._damaged = 0
            with self._opening:
                self._cache = None
                shutil.rmtree(self._version_directory, ignore_errors=True)

    def _save(self, record: Record) -> None:
        try:
            raw = encode(record)
        except BadRecordError as error:
            log.debug("a listing is not kept on disk: %s", error)
            return
        self._opened().set(self._key(record.directory.identity), raw)

    def _forget(self, key: str) -> None:
        self._opened().delete(key)
        if self._pinned_directory.exists():
            self._pinned_cache().delete(key)

    def _keep(self, identities: Collection[str]) -> None:
        if not identities and not self._pinned_directory.exists():
            return
        cache, pinned = self._opened(), self._pinned_cache()
        wanted = {self._key(each) for each in identities}
        for key in [*pinned]:
            if key not in wanted and key.startswith(f"{self._partition} "):
                pinned.delete(key)
        for key in wanted:
            raw = cache.get(key)
            if raw is not None and raw != pinned.get(key):
                pinned.set(key, raw)

    def _pinned_cache(self) -> Any:
        self._opened()
        with self._opening:
            if self._pinned is None or not self._pinned_directory.exists():
                self._pinned = self._open(self._pinned_directory, 0)
            return self._pinned

    def _opened(self) -> Any:
        """The cache; a new one if its directory was deleted while the drive runs."""
        with self._opening:
            if self._cache is None or self._file_on_disk() != self._cache_file:
                private_directory(self._directory)
                self._delete_other_versions()
                try:
                    self._cache = self._open(self._version_directory, LIMIT_BYTES)
                except sqlite3.DatabaseError as error:
                    if isinstance(error, sqlite3.OperationalError):
                        raise
                    log.warning("the listings on disk are damaged (%s); starting anew", error)
                    shutil.rmtree(self._version_directory, ignore_errors=True)
                    self._cache = self._open(self._version_directory, LIMIT_BYTES)
                self._cache_file = self._file_on_disk()
            return self._cache

    def _file_on_disk(self) -> tuple[int, int] | None:
        try:
            status = (self._version_directory / "cache.db").stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    @staticmethod
    def _open(directory: Path, limit_bytes: int) -> Any:
        """``limit_bytes`` 0: no limit."""
        private_directory(directory)
        return ThreadsCache(
            str(directory), disk=BytesDisk, size_limit=limit_bytes or 2**62, timeout=5,
            eviction_policy="least-recently-stored" if limit_bytes else "none",
            disk_min_file_size=64 * 1024,
            sqlite_cache_size=256, sqlite_mmap_size=0,  # a megabyte a connection instead of 96
        )  # fmt: skip

    def _delete_other_versions(self) -> None:
        """Delete caches of older format versions. A newer dmfs may come back to its own."""
        for path in self._directory.glob("v*"):
            version = path.name.removeprefix("v")
            if not version.isdecimal() or int(version) < FORMAT_VERSION:
                shutil.rmtree(path, ignore_errors=True)
