"""The FUSE requests of a mount with ``-o export``: those of any other, and what NFS servers need.

A server keeps no file open. Its clients come back with a handle after hours, also after a restart
of the server and of the drive; the kernel then asks for ``.`` (and ``..``) of an inode that both
have forgotten.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import cachetools
import pyfuse3
import trio

from dmfs.errors import (
    AccessError,
    BadResponseError,
    DeadlineError,
    DriveError,
    GoneError,
    NotFoundError,
    SignedOutError,
)
from dmfs.fuse.export.handle_table import WAY_MAX, Handle
from dmfs.fuse.export.handles import Handles
from dmfs.fuse.export.numbering import Cookies, generation_of, item_hash, named_by
from dmfs.fuse.inode_table import ROOT_INODE, Inode
from dmfs.fuse.operations import ENTRIES_A_STEP, Operations
from dmfs.fuse.request import request
from dmfs.grammar.version_names import version_name
from dmfs.model import Child, Directory, File, Listing, Node, Root, Shortcut, Source, with_history
from dmfs.names import inode_number
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.system.clock import wall_time_ns
from dmfs.system.concurrency import computed
from dmfs.telemetry.access_log import access

log = logging.getLogger(__name__)

DIRECTORY_ATTR_S = 1.0
"""A client believes what it knows of a directory while its ctime stands still, however long: the
kernel must not be what keeps it from hearing of a change."""
LOOK_EVERY_S = 1.0
"""A client that has names asks for the time of their directory, and for nothing else. One such
directory a second is listed again if it is stale: a client's ``ls -l`` of a thousand folders must
not list each of them."""
SETTLED_NS = 5 * 10**9
"""So long the time of a directory goes on after a change: the kernel takes changed names a moment
later than it may ask for that time, and a client would keep what it was given in between."""
ORDERED_MAX = 16
"""Directories whose order is remembered: a server opens one anew for each 30 or so entries."""
THREAD_ENTRIES = 2000
"""A thread is worth it from so many hashes on (2 ms)."""


def reported_error(error: DriveError) -> DriveError:
    """The kernel's server makes ESTALE of every failure to open a handle but this one, and a client
    gives up for good what is stale; for ETIMEDOUT it tells clients to come again."""
    lasting = isinstance(error, GoneError | NotFoundError | AccessError)
    if isinstance(error, SignedOutError) or not lasting:
        return DeadlineError(f"a handle cannot be followed now: {error.message}", hint=error.hint)
    return error if isinstance(error, GoneError) else GoneError(error.message, hint=error.hint)


class Exporting(Operations):
    """Over the operations of a mount, read-only or not: see there."""

    supports_dot_lookup = True
    _stored: Handles

    def keep_handles(self, handles: Handles) -> None:
        """Before the first request."""
        self._stored = handles
        self._orders: cachetools.LRUCache[str, Cookies] = cachetools.LRUCache(ORDERED_MAX)
        self._look_at = float("-inf")
        self._inodes.inode(ROOT_INODE).changed_ns = wall_time_ns()
        self._inodes.subscribe(self._on_place)
        self._drive.add_gauges(handles.gauges)

    def close(self) -> None:
        self._stored.close()

    # Handles

    async def lookup(self, parent_inode: int, name: bytes, ctx: Any) -> pyfuse3.EntryAttributes:
        if name in (b".", b".."):
            entry = await self._by_handle(parent_inode, name, ctx)
        else:
            entry = await super().lookup(parent_inode, name, ctx)
        await self._stored.written()
        return entry

    @request(names=True)
    async def _by_handle(
        self,
        inode: int,
        name: bytes,
        ctx: Any,  # noqa: ARG002 - who asks, for ``request``
    ) -> pyfuse3.EntryAttributes:
        access.get().path = self._inodes.path(inode)
        number = inode if name == b"." else self._inodes.inode(inode).parent
        if number == ROOT_INODE:
            return self._entry(number, self._inodes.inode(number).node, DIRECTORY_ATTR_S)
        try:
            parent, listed, node = await self._found(number)
        except DriveError as error:
            reported = reported_error(error)
            self._stored.stale += isinstance(reported, GoneError)
            raise reported from error
        row = self._inodes.ref(parent, listed, node)
        access.get().path = self._inodes.path(number)
        self._stored.restored += 1
        entry = self._entry(number, node, self._timeout_s(parent))
        row.reported_size = entry.st_size
        return entry

    async def _found(self, number: int) -> tuple[int, str, Child]:
        """Parent, name and node of an inode that was given out. GoneError where it is not there any
        more, or another identity is in its place."""
        way: list[Handle] = []
        at = number
        while (row := self._inodes.row(at)) is None:
            stored = await self._stored.get(at)
            if stored is None or len(way) == WAY_MAX:
                raise GoneError(f"inode {number} is not known any more")
            way.append(stored)
            at = stored.parent
        if not way:  # the kernel asks for it in the moment of forgetting it
            assert not isinstance(row.node, Root | Source)
            return row.parent, row.name, row.node
        name, child = await self._entry_of(row.node, way.pop())
        parent = row.number
        while way:
            parent = way[-1].parent
            name, child = await self._entry_of(child, way.pop())
        return parent, name, child

    async def _entry_of(self, directory: Node, stored: Handle) -> tuple[str, Child]:
        """What a stored handle means in its directory, with its name of now."""
        if not isinstance(directory, File | Shortcut):
            child = await self._drive.lookup(directory, stored.name)
            if child is not None and inode_number(child.identity) == stored.number:
                return stored.name, child
            listing = await self._drive.prepare(directory)
            work = partial(named_by, listing, stored.number, stored.item)
            found = await computed(work) if len(listing.names) > THREAD_ENTRIES else work()
            if found is not None and inode_number(found[1].identity) == stored.number:
                return found
            if found is not None and stored.version and self._drive.writing is None:
                # one call: the versions of what is there now
                name = version_name(found[0], stored.version)
                old = await self._drive.lookup(directory, name)
                if old is not None and inode_number(old.identity) == stored.number:
                    return found[0], old
        raise GoneError(f"what inode {stored.number} was is not there any more")

    def _on_place(self, row: Inode) -> None:
        is_directory = not isinstance(row.node, File | Shortcut)
        if not row.generation:
            row.generation = generation_of(row.node.identity)
            row.changed_ns = wall_time_ns() if is_directory else 0
        version = row.node.version_number or 0 if isinstance(row.node, File) else 0
        self._stored.note(
            Handle(row.number, row.parent, row.name, item_hash(row.node), version, is_directory)
        )

    # Attributes

    def _entry(self, number: int, node: Node, timeout_s: float) -> pyfuse3.EntryAttributes:
        entry = super()._entry(number, node, timeout_s)
        row = self._inodes.row(number)
        if number != ROOT_INODE:
            entry.generation = row.generation if row else generation_of(node.identity)
        if not isinstance(node, File | Shortcut):
            entry.attr_timeout = min(entry.attr_timeout, DIRECTORY_ATTR_S)
            entry.st_ctime_ns = max(entry.st_ctime_ns, self._changed_ns(row))
        return entry

    @staticmethod
    def _changed_ns(row: Inode | None) -> int:
        """The time of a directory: a client that goes by it is to come once more after the kernel
        has taken the names that changed."""
        now = wall_time_ns()
        return now if row is None else min(now, row.changed_ns + SETTLED_NS)

    async def getattr(self, inode: int, ctx: Any) -> pyfuse3.EntryAttributes:
        row = self._inodes.row(inode)
        if row is not None and not isinstance(row.node, File | Shortcut):
            await self._look_again(row.node)
        return await super().getattr(inode, ctx)

    async def _look_again(self, directory: Directory) -> None:
        now = trio.current_time()
        if now < self._look_at or self._drive.known(directory) is None:
            return
        if self._drive.fresh_for_s(directory) > 0:
            return
        self._look_at = now + LOOK_EVERY_S
        with (
            contextlib.suppress(DriveError),
            trio.move_on_after(self.metadata_timeout_s),
            at_priority(RequestPriority(Priority.POLL)),
        ):
            await self._drive.prepare(directory)

    def _on_changes(self, directory: Directory, names: Sequence[str]) -> None:
        super()._on_changes(directory, names)
        for each in with_history(directory):
            number = self._inodes.referenced(each)
            row = None if number is None else self._inodes.row(number)
            if row is not None:
                row.changed_ns = max(wall_time_ns(), row.changed_ns + 1)

    # Directories

    async def readdir(self, fh: int, start_id: int, token: Any) -> None:
        await self._readdir(fh, start_id, token)
        await self._stored.written()

    @request()
    async def _readdir(self, fh: int, start_id: int, token: Any) -> None:
        """As ``Operations.readdir``, by cookies."""
        inode, listing, _ = self._directories[fh]
        access.get().path = self._inodes.path(inode)
        timeout_s = self._timeout_s(inode)
        for index in range(start_id, 2):
            entry = self._dots(inode, index, timeout_s)
            if not pyfuse3.readdir_reply(token, b"." * (index + 1), entry, index + 1):
                return
        given = 0
        for cookie, name in (await self._ordered(listing)).after(start_id):
            given += 1
            if given % ENTRIES_A_STEP == 0:
                await trio.lowlevel.checkpoint()
            row = self._inodes.ref(inode, name, listing.entries[name])
            entry = self._entry(row.number, row.node, timeout_s)
            if not pyfuse3.readdir_reply(token, name.encode(), entry, cookie):
                self._inodes.forget(row.number, 1)
                return
            row.reported_size = entry.st_size
        if listing.lost and not given:  # what is known was given out
            raise BadResponseError(f"{listing.lost} entries cannot be told: an unusable answer")

    async def _ordered(self, listing: Listing) -> Cookies:
        identity = listing.directory.identity
        known = self._orders.get(identity)
        if known is None or known.listing is not listing:
            work = partial(Cookies, listing)
            known = await computed(work) if len(listing.names) > THREAD_ENTRIES else work()
            self._orders[identity] = known
        return known


class ExportOperations(Exporting):
    """Of a read-only mount."""
