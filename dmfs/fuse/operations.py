"""The kernel's door: translates requests into the drive's verbs and back. Floor 4; sole importer
of pyfuse3.

Every handler runs under ``@request``: a deadline (a process blocked in lookup ignores SIGKILL
until it is answered), an access line, and a net that turns any exception into an errno, because
anything but FUSEError ends ``pyfuse3.main`` and unmounts the drive under its users.
"""

from __future__ import annotations

import contextlib
import errno
import functools
import itertools
import logging
import os
import stat
from collections.abc import Callable, Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

import pyfuse3
import trio

from dmfs.blocks.reader import AnyReader
from dmfs.drive import Drive
from dmfs.errors import DriveError, IsADirectory, ReadOnlyError
from dmfs.fuse.inode_table import ROOT_INODE, InodeTable
from dmfs.fuse.kernel_params import raise_parameters
from dmfs.model import Directory, File, Folder, Listing, Node, Shortcut
from dmfs.names import printable
from dmfs.namespace.xattrs import attribute, attributes_of, marks
from dmfs.system.concurrency import deadline
from dmfs.telemetry.access_log import AccessRecord
from dmfs.telemetry.stack_report import tell_on_signal

log = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")

FILE_ATTR_TIMEOUT_S = 86400.0
"""A file is one version: its attributes do not change (a learned size is told to the kernel)."""
NEGATIVE_TIMEOUT_S = 5.0
"""Absence is cached by the kernel too, shorter than presence: a new file should show soon."""
STALE_TIMEOUT_S = 1.0
"""Names from a stale listing, while a newer one is on its way or the service is down."""
MAX_TASKS = 512
"""Requests served at once: more than readers can stall, so that ``ls`` always finds a place."""
STOP_GRACE_S = 2.0
"""What is under way when the drive is told to stop may take so long; after that it gets an error
from the kernel."""
ENTRIES_A_STEP = 100
"""Entries told to the kernel before others get a turn: a reply takes 770, for 15 to 80 ms."""
NAMES_PUSHED = 10_000
"""Names told to the kernel per change, 20 ms of the loop; those that are only new come last. What
is not told is believed until its time is over (the ttl)."""

_access: ContextVar[AccessRecord] = ContextVar("access")


@dataclass(frozen=True, slots=True)
class Ownership:
    """How entries appear: owner and the permission bits to take away."""

    uid: int
    gid: int
    umask: int = 0


def request(
    *, data: bool = False
) -> Callable[
    [Callable[Concatenate[Operations, P], Coroutine[Any, Any, R]]],
    Callable[Concatenate[Operations, P], Coroutine[Any, Any, R]],
]:
    """Deadline, access line and errno for a handler; ``data`` chooses the longer deadline."""

    def wrap(
        handler: Callable[Concatenate[Operations, P], Coroutine[Any, Any, R]],
    ) -> Callable[Concatenate[Operations, P], Coroutine[Any, Any, R]]:
        name = handler.__name__.strip("_")

        @functools.wraps(handler)
        async def guarded(self: Operations, /, *args: P.args, **kwargs: P.kwargs) -> R:
            access = AccessRecord(name)
            _access.set(access)
            code = errno.EIO
            try:
                with deadline(self.data_timeout_s if data else self.metadata_timeout_s, name):
                    result = await handler(self, *args, **kwargs)
                code = 0
                return result
            except DriveError as error:
                code = error.errno
                level = logging.DEBUG if code in _EVERYDAY else logging.WARNING
                access.failed(error, level)
            except pyfuse3.FUSEError as error:
                code = error.errno
                raise
            except Exception:
                log.exception("bug in %s %s", name, access.path)
            finally:
                access.done(code)
            raise pyfuse3.FUSEError(code)

        return guarded

    return wrap


_EVERYDAY = frozenset({errno.ENOENT, errno.EROFS, errno.ENODATA, errno.EOPNOTSUPP, errno.EISDIR})


class Operations(pyfuse3.Operations):
    """What the kernel may ask of a read-only drive."""

    supports_dot_lookup = False
    enable_writeback_cache = False

    def __init__(self, drive: Drive, root: Directory, ownership: Ownership) -> None:
        super().__init__()
        self._drive = drive
        self._tree = InodeTable(root, drive.listings)
        self._ownership = ownership
        self.metadata_timeout_s = drive.settings.metadata_timeout
        self.data_timeout_s = drive.settings.data_timeout
        self.traced = logging.getLogger("dmfs.telemetry.access_log").isEnabledFor(logging.DEBUG)
        self._handles = itertools.count(1)
        self._files: dict[int, tuple[AnyReader, str]] = {}
        self._directories: dict[int, tuple[int, Listing]] = {}
        drive.listings.on_change = self._push_changes

    # Names

    @request()
    async def lookup(self, parent_inode: int, name: bytes, ctx: Any) -> pyfuse3.EntryAttributes:
        text = name.decode("utf-8", "surrogateescape")
        _access.get().path = f"{self._tree.path(parent_inode).rstrip('/')}/{text}"
        self._drive.poller.looked(self._tree.directory(parent_inode))
        child = await self._tree.lookup(parent_inode, text)
        if child is None:
            absent = pyfuse3.EntryAttributes()
            absent.st_ino = 0
            absent.entry_timeout = self._timeout(parent_inode, NEGATIVE_TIMEOUT_S)
            return absent
        timeout_s = self._timeout(parent_inode)
        row = self._tree.hold(parent_inode, text, child)
        row.reported_size = self._size_of(child)
        return self._attributes(row.number, child, timeout_s)

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        for inode, lookups in inode_list:
            self._tree.forget(inode, lookups)

    @request()
    async def getattr(self, inode: int, ctx: Any) -> pyfuse3.EntryAttributes:
        _access.get().path = self._tree.path(inode)
        row = self._tree.row(inode)
        row.reported_size = self._size_of(row.node)
        return self._attributes(inode, row.node, self._timeout(row.parent))

    @request()
    async def opendir(self, inode: int, ctx: Any) -> int:
        _access.get().path = self._tree.path(inode)
        directory = self._tree.directory(inode)
        with self._drive.scout.entering(directory):
            listing = await self._tree.list(inode)
        self._drive.poller.looked(directory)
        self._drive.blocks.settle()  # more may be known now, of the same budget
        handle = next(self._handles)
        self._directories[handle] = (inode, listing)
        return handle

    @request()
    async def readdir(self, fh: int, start_id: int, token: Any) -> None:
        """Entries of the snapshot taken at opendir; an entry's offset is its index + 1."""
        inode, listing = self._directories[fh]
        _access.get().path = self._tree.path(inode)
        timeout_s = self._timeout(inode)
        for index in range(start_id, len(listing.names) + 2):
            if (index - start_id) % ENTRIES_A_STEP == ENTRIES_A_STEP - 1:
                await trio.lowlevel.checkpoint()
            if index < 2:
                entry = self._dots(inode, index, timeout_s)
                if not pyfuse3.readdir_reply(token, b"." * (index + 1), entry, index + 1):
                    return
                continue
            name = listing.names[index - 2]
            child = listing.entries[name]
            entry = self._attributes(self._tree.number_of(child), child, timeout_s)
            if not pyfuse3.readdir_reply(token, name.encode(), entry, index + 1):
                return
            self._tree.hold(inode, name, child).reported_size = self._size_of(child)

    def _dots(self, inode: int, index: int, timeout_s: float) -> pyfuse3.EntryAttributes:
        """``.`` and ``..``; of a parent that the kernel has forgotten the number is all we know."""
        row = self._tree.row(inode)
        number = inode if index == 0 else row.parent
        with contextlib.suppress(DriveError):
            return self._attributes(number, self._tree.row(number).node, timeout_s)
        return self._attributes(number, row.node, timeout_s)

    async def releasedir(self, fh: int) -> None:
        self._directories.pop(fh, None)

    # Bytes

    @request()
    async def open(self, inode: int, flags: int, ctx: Any) -> pyfuse3.FileInfo:
        path = _access.get().path = self._tree.path(inode)
        if flags & os.O_ACCMODE != os.O_RDONLY or flags & os.O_TRUNC:
            raise ReadOnlyError("the drive is read-only")
        row = self._tree.row(inode)
        node = row.node
        if not isinstance(node, File | Shortcut):
            raise IsADirectory(f"{path} is a directory")
        listing = self._tree.known(row.parent)
        if listing is not None:
            self._drive.warmer.on_open(listing, row.name)
        reader = await self._drive.open(node)
        if reader.size_bytes != row.reported_size:
            await self._tell_size(inode)
        handle = next(self._handles)
        self._files[handle] = (reader, path)
        return pyfuse3.FileInfo(fh=handle, keep_cache=reader.keep_cache)

    async def read(self, fh: int, off: int, size: int) -> Any:
        """Most reads of a stream find their bytes at hand: they go by without the scopes and
        records of ``@request`` (some 40 µs of 60), unless somebody wants to see them."""
        if not self.traced and fh in self._files:
            try:
                data = self._files[fh][0].read_now(off, size)
            except Exception:
                log.exception("bug in read %s", self._files[fh][1])
                raise pyfuse3.FUSEError(errno.EIO) from None
            if data is not None:
                return data
        return await self._read(fh, off, size)

    @request(data=True)
    async def _read(self, fh: int, off: int, size: int) -> Any:
        reader, path = self._files[fh]
        access = _access.get()
        access.path = path
        data, access.hit = await reader.read(off, size)
        access.bytes = len(data)
        return data

    async def release(self, fh: int) -> None:
        reader, _ = self._files.pop(fh, (None, ""))
        if reader is not None:
            reader.close()

    # Attributes

    @request()
    async def getxattr(self, inode: int, name: bytes, ctx: Any) -> bytes:
        _access.get().path = self._tree.path(inode)
        node = self._tree.row(inode).node
        return attribute(node, name.decode("utf-8", "surrogateescape"), self._marks(node))

    @request()
    async def listxattr(self, inode: int, ctx: Any) -> Sequence[bytes]:
        _access.get().path = self._tree.path(inode)
        node = self._tree.row(inode).node
        return [name.encode() for name in attributes_of(node) | self._marks(node)]

    @request()
    async def statfs(self, ctx: Any) -> pyfuse3.StatvfsData:
        """No quota is told by the service, and nothing can be written: nothing is free."""
        told = pyfuse3.StatvfsData()
        told.f_bsize = told.f_frsize = 4096
        told.f_blocks = told.f_bfree = told.f_bavail = 0
        told.f_files = told.f_ffree = told.f_favail = 0
        told.f_namemax = 255
        return told

    # What follows serves no request by itself

    def _marks(self, node: Node) -> dict[str, str]:
        """What the listing of a directory is worth."""
        if isinstance(node, File | Shortcut):
            return {}
        listings = self._drive.listings
        return marks(listings.listed_at(node), stale=listings.fresh_for(node) <= 0)

    def gauges(self) -> dict[str, int]:
        """What is held now; for SIGUSR2."""
        held = {"inodes": len(self._tree), "files": len(self._files)}
        held |= {"directories": len(self._directories), "gets": self._drive.fetcher.under_way}
        return held | self._drive.blocks.gauges()

    def _timeout(self, directory: int, at_most_s: float = 3600.0) -> float:
        """For how long the kernel may believe a name in a directory (or its absence)."""
        return min(max(self._tree.fresh_for(directory), STALE_TIMEOUT_S), at_most_s)

    def _attributes(self, number: int, node: Node, timeout_s: float) -> pyfuse3.EntryAttributes:
        entry = pyfuse3.EntryAttributes()
        entry.st_ino = number
        entry.generation = 0
        entry.entry_timeout = timeout_s
        entry.st_uid, entry.st_gid = self._ownership.uid, self._ownership.gid
        leaf = isinstance(node, File | Shortcut)
        bits = 0o444 if leaf else 0o555
        entry.st_mode = (stat.S_IFREG if leaf else stat.S_IFDIR) | (bits & ~self._ownership.umask)
        entry.st_nlink = 1  # of a directory: "not counted", or find trusts it
        entry.attr_timeout = FILE_ATTR_TIMEOUT_S if leaf else timeout_s
        entry.st_size = self._size_of(node)
        entry.st_blksize = 128 * 1024
        entry.st_blocks = -(-entry.st_size // 512)
        mtime_ns = node.mtime_ns if isinstance(node, File | Shortcut | Folder) else 0
        entry.st_mtime_ns = entry.st_atime_ns = entry.st_ctime_ns = mtime_ns
        return entry

    def _size_of(self, node: Node) -> int:
        return self._drive.size_of(node) if isinstance(node, File | Shortcut) else 0

    async def _tell_size(self, inode: int) -> None:
        """The real size differs from the listed one: make the kernel ask again.

        Attributes only: invalidating *data* while a read of the inode is pending deadlocks the
        daemon against the page lock (tried).
        """
        try:
            await trio.to_thread.run_sync(
                functools.partial(pyfuse3.invalidate_inode, inode, attr_only=True)
            )
        except OSError as error:
            log.debug("size of inode %d not told: %s", inode, error)

    def _push_changes(self, directory: Directory, names: Sequence[str]) -> None:
        """Names that now mean something else: let the kernel forget them.

        By the asynchronous call, in pyfuse3's own thread: on the loop it could wait for a lookup
        that waits for us.
        """
        parent = self._tree.held(directory)
        if parent is None:
            return
        if log.isEnabledFor(logging.DEBUG):
            for name in names:
                log.debug("changed: %s/%s", self._tree.path(parent).rstrip("/"), printable(name))
        for name in names[:NAMES_PUSHED]:
            pyfuse3.invalidate_entry_async(parent, name.encode(), ignore_enoent=True)


async def serve(
    drive: Drive,
    root: Directory,
    mountpoint: str,
    ownership: Ownership,
    options: set[str],
    on_ready: Callable[[], None],
    stop: trio.Event,
) -> None:
    """Mount, call ``on_ready`` once the drive answers, serve until unmounted or ``stop``."""
    operations = Operations(drive, root, ownership)
    pyfuse3.init(operations, mountpoint, set(pyfuse3.default_options) | {"ro"} | options)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_announce, mountpoint, on_ready)
            nursery.start_soon(_stop_on, stop, nursery.cancel_scope)
            nursery.start_soon(tell_on_signal, operations.gauges)
            await pyfuse3.main(min_tasks=1, max_tasks=MAX_TASKS)
            nursery.cancel_scope.cancel()
    finally:
        pyfuse3.close(unmount=True)


async def _announce(mountpoint: str, on_ready: Callable[[], None]) -> None:
    # in threads: both stat the mountpoint, which is answered by this very loop
    await trio.to_thread.run_sync(os.stat, mountpoint, abandon_on_cancel=True)
    await trio.to_thread.run_sync(raise_parameters, mountpoint, abandon_on_cancel=True)
    on_ready()


async def _stop_on(stop: trio.Event, serving: trio.CancelScope) -> None:
    """pyfuse3 ends when all its requests did; one that is stuck must not hold up a shutdown."""
    await stop.wait()
    pyfuse3.terminate()
    await trio.sleep(STOP_GRACE_S)
    serving.cancel()


__all__ = ["ROOT_INODE", "Operations", "Ownership", "serve"]
