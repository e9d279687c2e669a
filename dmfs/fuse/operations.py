"""The FUSE requests of the kernel, translated into verbs of ``Drive`` and back.

Nothing is decided here: what a name means, what is fresh and what is read ahead is the drive's
business. ``request.py`` puts deadline, access line and errno around each handler.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import pyfuse3
import trio

from dmfs.blocks.reader import AnyReader
from dmfs.drive import Drive
from dmfs.errors import BadResponseError, DriveError, IsADirectory, ReadOnlyError
from dmfs.fuse.attributes import Ownership, absent_entry, empty_statfs, entry_attributes
from dmfs.fuse.inode_table import InodeTable
from dmfs.fuse.kernel_cache import Push, push_changes, push_here, report_size
from dmfs.fuse.request import request, wants_to_write
from dmfs.model import Directory, File, Leaf, Listing, Node, Shortcut, with_history
from dmfs.namespace.xattrs import xattr_value
from dmfs.telemetry.access_log import AccessRecord, access
from dmfs.telemetry.activity import Transfer
from dmfs.telemetry.processes import Process

log = logging.getLogger(__name__)

NEGATIVE_TIMEOUT_S = 5.0
"""The kernel caches absence too, for a shorter time than presence: a new file should show soon."""
STALE_TIMEOUT_S = 1.0
"""Names of a stale listing, while a newer one is on its way or the service is down."""
NAME_TIMEOUT_MAX_S = 3600.0
ENTRIES_A_STEP = 100
"""Entries of a readdir reply before other requests get a turn: 770 of them take 15 to 80 ms."""


class Operations(pyfuse3.Operations):
    """The handlers of a read-only mount. Docstrings of handlers are pyfuse3's own."""

    supports_dot_lookup = False
    enable_writeback_cache = False

    def __init__(self, drive: Drive, root: Directory, ownership: Ownership) -> None:
        super().__init__()
        self._drive = drive
        self._inodes = InodeTable(root)
        self.push_by: Push = push_here
        self._ownership = ownership
        self.metadata_timeout_s = drive.settings.metadata_timeout
        self.data_timeout_s = drive.settings.data_timeout
        self.count_request: Callable[[str, str, float], None] = drive.count_request
        self.activity = drive.activity
        self.activity.transfers = lambda: [transfer for _, transfer in self._files.values()]
        self.activity.subscribe(self._on_listening)
        self._logged = logging.getLogger("dmfs.access").isEnabledFor(logging.DEBUG)
        self._traced = self._logged
        """Whether each read is told to somebody."""
        self._handles = itertools.count(1)
        self._files: dict[int, tuple[AnyReader, Transfer]] = {}
        self._directories: dict[int, tuple[int, Listing, Process]] = {}
        self._reads_at_hand = 0
        drive.subscribe(self._on_changes)
        drive.add_gauges(self._gauges)

    # Names

    @request(names=True)
    async def lookup(self, parent_inode: int, name: bytes, ctx: Any) -> pyfuse3.EntryAttributes:
        text = name.decode("utf-8", "surrogateescape")
        access.get().path = f"{self._inodes.path(parent_inode).rstrip('/')}/{text}"
        directory = self._inodes.directory(parent_inode)
        child = await self._drive.lookup(directory, text)
        lasts = self._drive.is_own_name(directory, text)
        if child is None:
            return absent_entry(lasts * self._timeout_s(parent_inode, NEGATIVE_TIMEOUT_S))
        inode = self._inodes.ref(parent_inode, self._drive.listed_name(directory, text), child)
        entry = self._entry(inode.number, child, lasts * self._timeout_s(parent_inode))
        inode.reported_size = entry.st_size
        return entry

    async def forget(self, inode_list: Sequence[tuple[int, int]]) -> None:
        for inode, lookups in inode_list:
            self._inodes.forget(inode, lookups)

    @request()
    async def getattr(self, inode: int, ctx: Any) -> pyfuse3.EntryAttributes:
        access.get().path = self._inodes.path(inode)
        row = self._inodes.inode(inode)
        entry = self._entry(inode, row.node, self._timeout_s(row.parent))
        row.reported_size = entry.st_size
        return entry

    @request(names=True)
    async def opendir(self, inode: int, ctx: Any) -> int:
        access.get().path = self._inodes.path(inode)
        listing = await self._drive.list(self._inodes.directory(inode))
        handle = next(self._handles)
        self._directories[handle] = inode, listing, access.get().process
        return handle

    @request()
    async def readdir(self, fh: int, start_id: int, token: Any) -> None:
        """Entries of the snapshot taken at opendir; an entry's offset is its index + 1."""
        inode, listing, _ = self._directories[fh]
        access.get().path = self._inodes.path(inode)
        timeout_s = self._timeout_s(inode)
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
            entry = self._entry(self._inodes.number_of(child), child, timeout_s)
            if not pyfuse3.readdir_reply(token, name.encode(), entry, index + 1):
                return
            self._inodes.ref(inode, name, child).reported_size = entry.st_size
        if listing.lost and start_id >= len(listing.names) + 2:  # what is known was given out
            raise BadResponseError(f"{listing.lost} entries cannot be told: an unusable answer")

    async def releasedir(self, fh: int) -> None:
        self._directories.pop(fh, None)

    # Bytes

    @request()
    async def open(self, inode: int, flags: int, ctx: Any) -> pyfuse3.FileInfo:
        path = access.get().path = self._inodes.path(inode)
        row = self._inodes.inode(inode)
        if not isinstance(row.node, File | Shortcut):
            raise IsADirectory(f"{path} is a directory")
        parent = self._inodes.directory_if_referenced(row.parent)
        found_in = None if parent is None else (parent, row.name)
        process = access.get().process
        if process.kind is None or wants_to_write(flags):
            reader = await self._open(row.node, found_in, flags)
        else:
            opens = partial(self._open, row.node, flags=flags)
            reader = await self._drive.open_by(process, row.node, found_in, opens)
        if reader.size_bytes != row.reported_size:
            await report_size(inode)
        return self._opened(reader, path)

    async def _open(
        self, node: Leaf, found_in: tuple[Directory, str] | None, flags: int
    ) -> AnyReader:
        if wants_to_write(flags):
            raise ReadOnlyError("the drive is read-only", hint="mount it with -o rw")
        return await self._drive.open(node, found_in)

    def _opened(self, reader: AnyReader, path: str) -> pyfuse3.FileInfo:
        handle = next(self._handles)
        record = AccessRecord("read", access.get().process)
        record.process.open_files += 1
        self._files[handle] = reader, Transfer(path, record, reader.size_bytes)
        return pyfuse3.FileInfo(fh=handle, keep_cache=reader.keep_cache, direct_io=reader.direct_io)

    async def read(self, fh: int, off: int, size: int) -> Any:
        """Most reads of a stream find their bytes in memory: they skip the scopes and records of
        ``@request`` (some 40 of 60 µs), unless somebody follows each read."""
        if not self._traced and fh in self._files:
            reader, transfer = self._files[fh]
            access.set(transfer.record)  # what this read starts ahead is this program's
            try:
                data = reader.read_now(off, size)
            except Exception:
                log.exception("bug in read %s", transfer.path)
                raise pyfuse3.FUSEError(errno.EIO) from None
            if data is not None:
                self._reads_at_hand += 1
                transfer.given_bytes += len(data)
                return data
        return await self._read(fh, off, size)

    @request(data=True)
    async def _read(self, fh: int, off: int, size: int) -> Any:
        reader, transfer = self._files[fh]
        record = access.get()
        record.path = transfer.path
        data, record.hit = await reader.read(off, size)
        record.bytes = len(data)
        transfer.given_bytes += len(data)
        return data

    async def release(self, fh: int) -> None:
        opened = self._files.pop(fh, None)
        if opened is not None:
            reader, transfer = opened
            transfer.process.bytes += transfer.given_bytes
            transfer.process.open_files -= 1
            reader.close()

    # Attributes

    @request()
    async def getxattr(self, inode: int, name: bytes, ctx: Any) -> bytes:
        access.get().path = self._inodes.path(inode)
        node, text = self._inodes.inode(inode).node, name.decode("utf-8", "surrogateescape")
        if (value := await self._drive.unlisted_xattr(node, text)) is not None:
            return value
        return xattr_value(text, self._drive.xattrs(node))

    @request()
    async def listxattr(self, inode: int, ctx: Any) -> Sequence[bytes]:
        access.get().path = self._inodes.path(inode)
        return [name.encode() for name in self._drive.xattrs(self._inodes.inode(inode).node)]

    @request()
    async def statfs(self, ctx: Any) -> pyfuse3.StatvfsData:
        return empty_statfs()

    # What follows serves no request by itself

    def _on_changes(self, directory: Directory, names: Sequence[str]) -> None:
        for each in with_history(directory):
            push_changes(self._inodes, each, names, self._push)

    def _push(self, parent: int, name: bytes) -> None:
        self.push_by(parent, name)

    def _entry(self, number: int, node: Node, timeout_s: float) -> pyfuse3.EntryAttributes:
        return entry_attributes(number, self._drive.stat(node), self._ownership, timeout_s)

    def _dots(self, inode: int, index: int, timeout_s: float) -> pyfuse3.EntryAttributes:
        """``.`` and ``..``; of a parent that the kernel has forgotten only the number is known."""
        row = self._inodes.inode(inode)
        number = inode if index == 0 else row.parent
        with contextlib.suppress(DriveError):
            return self._entry(number, self._inodes.inode(number).node, timeout_s)
        return self._entry(number, row.node, timeout_s)

    def _timeout_s(self, inode: int, at_most_s: float = NAME_TIMEOUT_MAX_S) -> float:
        """For how long the kernel may believe a name in a directory (or its absence)."""
        directory = self._inodes.directory_if_referenced(inode)
        fresh_s = 0.0 if directory is None else self._drive.fresh_for_s(directory)
        return min(max(fresh_s, STALE_TIMEOUT_S), at_most_s) * self._drive.names_last

    def _gauges(self) -> Mapping[str, int]:
        return {
            "inodes": len(self._inodes),
            "files": len(self._files),
            "directories": len(self._directories),
            "requests.read.at_hand": self._reads_at_hand,
        }

    def process_of(self, arguments: tuple[Any, ...]) -> Process:
        """Who makes the request of these arguments: of its context, else of its handle."""
        thread = getattr(arguments[-1], "pid", None)
        if thread is not None:
            return self.activity.processes.of_thread(thread)
        handle = arguments[0]
        if handle in self._files:
            return self._files[handle][1].process
        if handle in self._directories:
            return self._directories[handle][2]
        return self.activity.processes.nobody

    def _on_listening(self, listened: bool) -> None:
        self._traced = self._logged or listened
