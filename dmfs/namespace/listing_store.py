"""Listings at rest, shared by all mounts of a user. Floor 2.

diskcache below ``<cache>/listings/v<version>/``: small values in its SQLite table, long ones in
files. Values are text of our own (``codec``), never pickles: whoever could write there could else
run code here. What is damaged, foreign or of another version is a miss.

A lock by directory lets one process ask the service and the others take its answer.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import logging
import os
import shutil
import sqlite3
import struct
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import diskcache
import trio
from diskcache.core import MODE_BINARY, MODE_RAW

from dmfs.names import id_hash
from dmfs.namespace.listing_codec import FORMAT_VERSION, BadRecordError, Record, decode, encode
from dmfs.system.disk_health import DiskHealth, Kind
from dmfs.system.disk_threads import DiskThreads

log = logging.getLogger(__name__)

T = TypeVar("T")

LIMIT_BYTES = 512 * 1024 * 1024
"""Some 800 000 entries; the listings written longest ago go first."""
THREADS = 4
"""Each has an SQLite connection of its own, and parsing is not parallel anyway."""
LOCK_POLL_FIRST_S = 0.01
LOCK_POLL_MAX_S = 0.1
"""How often a process looks whether another one's question is answered; a question takes 0.5 s."""
LOCAL = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "tmpfs", "zfs", "f2fs", "overlay"})
"""Filesystems on which a lock of a byte is an entry in the kernel's memory. On others (NFS, FUSE)
it is a question to somebody who may not answer, and so nothing for the loop."""
_FLOCK = struct.Struct("hhqqi4x")
"""struct flock of 64-bit Linux."""


class PlainDisk(diskcache.Disk):  # type: ignore[misc]
    """Bytes in, bytes out. diskcache's own would unpickle whatever it finds."""

    def store(self, value: Any, read: bool, key: Any = diskcache.UNKNOWN) -> Any:
        if not isinstance(value, bytes):
            raise TypeError("only bytes are kept")
        return super().store(value, read, key=key)

    def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
        if mode not in (MODE_RAW, MODE_BINARY):
            return b""
        return super().fetch(mode, filename, value, read)


def cache_partition(*parts: str) -> str:
    """Whose listings: permissions differ, so each sign-in to each service has its own."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:16]


class ListingStore:
    """The disk. Never raises: without it everything goes on, and asks more."""

    def __init__(self, directory: Path, scope: str) -> None:
        self._scope = scope
        self._home = directory / "listings"
        self._place = self._home / f"v{FORMAT_VERSION}"
        # diskcache opens its file at first use in each thread; opening twice at once is slow
        self._lock = threading.Lock()
        self._cache: Any = None
        self._identity: tuple[int, int] | None = None
        self._locks_fd = -1
        self._near = False
        self._threads = DiskThreads(THREADS)
        self._health = DiskHealth(log, "the disk that keeps listings", "asking the service instead")

    def close(self) -> None:
        """Call once nothing is under way."""
        if self._cache is not None:
            self._cache.close()
        if self._locks_fd >= 0:
            os.close(self._locks_fd)
            self._locks_fd = -1

    async def load(self, identity: str) -> Record | None:
        """What is known of a directory, however old."""
        return await self._try("read", partial(self._load, identity))

    async def save(self, record: Record) -> None:
        await self._try("write", partial(self._save, record))

    async def forget(self, identity: str) -> None:
        """The service said that it is not ours to see any more."""
        await self._try("write", lambda: self._opened().delete(self._key(identity)))

    async def _try(self, kind: Kind, work: Callable[[], T]) -> T | None:
        """In a thread; None where the disk fails, which is then left alone for a while."""
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

    @asynccontextmanager
    async def lock(self, identity: str) -> AsyncIterator[None]:
        """Held by one process at a time (as far as the disk allows); cancellable."""
        start = int(id_hash(self._key(identity), 15), 16)
        held = await self._acquire(start)
        try:
            yield
        finally:
            if held:
                with trio.CancelScope(shield=True):
                    await self._lock_in_time(fcntl.F_UNLCK, start)

    async def _acquire(self, start: int) -> bool:
        wait_s = LOCK_POLL_FIRST_S
        while True:
            taken = await self._lock_in_time(fcntl.F_WRLCK, start)
            if taken is not False:
                return taken is True
            await trio.sleep(wait_s)
            wait_s = min(wait_s * 2, LOCK_POLL_MAX_S)

    async def _lock_in_time(self, kind: int, start: int) -> bool | None:
        if self._near:  # two thread hops less for each listing: 0.1 of 0.3 ms
            return self._lock_call(kind, start)
        try:
            return await self._threads.run(
                partial(self._lock_call, kind, start),
                lambda taken: taken and self._lock_call(fcntl.F_UNLCK, start),
            )
        except OSError:
            return None

    def _lock_call(self, kind: int, start: int) -> bool | None:
        """A lock of one byte, of this open file (not of the process, which may have two drives).

        True: done; False: another one has it; None: no locks here, go on without."""
        try:
            if self._locks_fd < 0:
                self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                self._locks_fd = os.open(self._home / "locks", flags, 0o600)
                self._near = _filesystem(self._locks_fd) in LOCAL
            request = _FLOCK.pack(kind, os.SEEK_SET, start, 1, 0)
            fcntl.fcntl(self._locks_fd, fcntl.F_OFD_SETLK, request)
        except OSError as error:
            return False if error.errno in (errno.EAGAIN, errno.EACCES) else None
        return True

    def _key(self, identity: str) -> str:
        return f"{self._scope} {identity}"

    def _load(self, identity: str) -> Record | None:
        raw = self._opened().get(self._key(identity))
        if not isinstance(raw, bytes):
            return None
        try:
            record = decode(raw)
        except BadRecordError as error:
            log.info("a listing on disk is unusable (%s); it will be asked for again", error)
            return None
        return record if record.directory.identity == identity else None

    def _save(self, record: Record) -> None:
        try:
            raw = encode(record)
        except BadRecordError as error:
            log.debug("a listing is not kept on disk: %s", error)
            return
        self._opened().set(self._key(record.directory.identity), raw)

    def _opened(self) -> Any:
        """The cache, made anew where its directory was deleted under us."""
        with self._lock:
            if self._cache is None or self._on_disk() != self._identity:
                self._home.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._discard_others()
                try:
                    self._cache = self._open()
                except sqlite3.DatabaseError as error:
                    if isinstance(error, sqlite3.OperationalError):
                        raise
                    log.warning("the listings on disk are damaged (%s); starting anew", error)
                    shutil.rmtree(self._place, ignore_errors=True)
                    self._cache = self._open()
                self._identity = self._on_disk()
            return self._cache

    def _on_disk(self) -> tuple[int, int] | None:
        try:
            status = (self._place / "cache.db").stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino

    def _open(self) -> Any:
        self._place.mkdir(mode=0o700, parents=True, exist_ok=True)
        return diskcache.Cache(
            str(self._place), disk=PlainDisk, size_limit=LIMIT_BYTES, timeout=5,
            eviction_policy="least-recently-stored", disk_min_file_size=64 * 1024,
            sqlite_cache_size=256, sqlite_mmap_size=0,  # a megabyte a connection instead of 96
        )  # fmt: skip

    def _discard_others(self) -> None:
        """What another version of the format left here; a newer one's too, for it is a cache."""
        for path in self._home.glob("v*"):
            if path != self._place:
                shutil.rmtree(path, ignore_errors=True)


def _filesystem(descriptor: int) -> str:
    """The type of the filesystem of an open file, '' where the kernel does not say."""
    status = os.fstat(descriptor)
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    for line in Path("/proc/self/mountinfo").read_text("utf-8", "surrogateescape").splitlines():
        mount, _, kind = line.partition(" - ")
        if mount.split()[2] == device:
            return kind.split()[0]
    return ""
