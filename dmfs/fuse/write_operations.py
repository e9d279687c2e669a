"""The FUSE requests of a mount with ``-o rw``: those of a read-only one, and all that change."""

from __future__ import annotations

import errno
import logging
import os
import stat
from collections.abc import Sequence
from typing import Any

import pyfuse3

from dmfs.blocks.reader import AnyReader
from dmfs.drive import Drive
from dmfs.errors import AccessError, IsADirectory, NotPermittedError, UnsupportedError
from dmfs.fuse.attributes import Ownership, room_statfs
from dmfs.fuse.inode_table import Inode
from dmfs.fuse.kernel_cache import LatePushes
from dmfs.fuse.operations import Operations
from dmfs.fuse.request import request, wants_to_write
from dmfs.model import Child, Directory, File, Leaf, OldVersion, Shortcut, with_history
from dmfs.telemetry.access_log import access
from dmfs.write.handle import Handle
from dmfs.write.writing import Writing

log = logging.getLogger(__name__)

RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


class WriteOperations(Operations):
    """See ``Operations``. Only the drive's ``Writing`` decides what may be changed, and how."""

    def __init__(
        self, drive: Drive, root: Directory, ownership: Ownership, writing: Writing
    ) -> None:
        super().__init__(drive, root, ownership)
        self._writing = writing
        self._pushes = LatePushes(self._inodes, self._push)
        writing.folders.on_made = writing.drafts.on_other_key = self._inodes.became

    def _on_changes(self, directory: Directory, names: Sequence[str]) -> None:
        for each in with_history(directory):
            self._pushes.push(each, names)

    # Files

    async def _open(
        self, node: Leaf, found_in: tuple[Directory, str] | None, flags: int
    ) -> AnyReader:
        writes = wants_to_write(flags)
        if isinstance(node, Shortcut):
            if writes:
                raise AccessError(f"{node.name!r} has no bytes of its own to change")
            return await self._drive.open(node, found_in)
        if isinstance(node, OldVersion) and not writes:
            return await self._drive.open(node, found_in)
        return await self._writing.open(
            node, found_in, writes=writes, truncate=bool(flags & os.O_TRUNC)
        )

    @request()
    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: Any
    ) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        directory, text = self._named(parent_inode, name)
        with self._pushes.held(parent_inode):
            node, handle = await self._writing.create(
                directory, text,
                exclusive=bool(flags & os.O_EXCL), truncate=bool(flags & os.O_TRUNC),
            )  # fmt: skip
        return self._opened(handle, access.get().path), self._handed_out(parent_inode, text, node)

    async def write(self, fh: int, off: int, buf: bytes) -> int:
        """Most writes go to memory: they skip the scopes and records of ``@request``, as reads do
        (see ``Operations.read``)."""
        if not self._traced and fh in self._files:
            reader, _ = self._files[fh]
            if isinstance(reader, Handle):
                try:
                    if reader.write_now(off, buf):
                        return len(buf)
                except Exception:
                    log.exception("bug in write")
                    raise pyfuse3.FUSEError(errno.EIO) from None
        return await self._write(fh, off, buf)

    @request(data=True)
    async def _write(self, fh: int, off: int, buf: bytes) -> int:
        handle, record = self._handle(fh), access.get()
        record.path = self._files[fh][1].path
        await handle.write(off, buf)
        record.bytes = len(buf)
        return len(buf)

    async def flush(self, fh: int) -> None:
        """A close(2), by far not always the last one; a handle without news answers at once."""
        if self._has_news(fh):
            await self._confirm(fh, False)
            await self._sync(fh)

    async def fsync(self, fh: int, datasync: bool) -> None:
        if self._has_news(fh):
            await self._confirm(fh, True)
            await self._sync(fh)

    def _has_news(self, fh: int) -> bool:
        opened = self._files.get(fh)
        return opened is not None and isinstance(opened[0], Handle) and opened[0].has_news

    @request(data=True)
    async def _confirm(self, fh: int, stays_open: bool) -> None:
        access.get().path = self._files[fh][1].path
        await self._handle(fh).confirm(stays_open=stays_open)

    @request(data=True)
    async def _sync(self, fh: int) -> None:
        access.get().path = self._files[fh][1].path
        await self._writing.sync(self._handle(fh).live)

    async def release(self, fh: int) -> None:
        """mmap(2) writes after the last close, and here nobody hears an error: the drive tells it
        as a state of the file."""
        if self._has_news(fh):
            try:
                await self._confirm(fh, False)
            except pyfuse3.FUSEError:
                self._writing.on_lost_close(self._handle(fh).live)
        await super().release(fh)

    @request(data=True)
    async def fsyncdir(self, fh: int, datasync: bool) -> None:
        await self._writing.sync_names()

    def _handle(self, fh: int) -> Handle:
        reader = self._files[fh][0]
        if not isinstance(reader, Handle):
            raise AccessError("the file was not opened for writing")
        return reader

    # Attributes

    @request(data=True)
    async def setattr(
        self,
        inode: int,
        attr: pyfuse3.EntryAttributes,
        fields: pyfuse3.SetattrFields,
        fh: int | None,
        ctx: Any,
    ) -> pyfuse3.EntryAttributes:
        access.get().path = self._inodes.path(inode)
        row = self._inodes.inode(inode)
        own = self._ownership
        if (fields.update_uid and attr.st_uid != own.uid) or (
            fields.update_gid and attr.st_gid not in (own.gid, ctx.gid)
        ):
            raise NotPermittedError("what is on the drive belongs to who mounted it")
        if fields.update_size:
            await self._set_size(row, attr.st_size, fh)
        if fields.update_mtime and isinstance(row.node, File):
            await self._writing.set_mtime(row.node, attr.st_mtime_ns)
        entry = self._entry(inode, row.node, self._timeout_s(row.parent))
        row.reported_size = entry.st_size
        return entry

    async def _set_size(self, row: Inode, size_bytes: int, fh: int | None) -> None:
        if not isinstance(row.node, File):
            raise IsADirectory(f"{row.name!r} is no file that has a size to change")
        handle = self._files[fh][0] if fh is not None and fh in self._files else None
        if isinstance(handle, Handle):
            await handle.truncate(size_bytes)
        else:
            await self._writing.truncate(row.node, self._place(row), size_bytes)

    @request()
    async def setxattr(self, inode: int, name: bytes, value: bytes, ctx: Any) -> None:
        """Tools that copy attributes copy ours too: taken, and dropped."""
        if not _text(name).startswith("user.dmfs."):
            raise UnsupportedError("the service stores no attributes")

    @request()
    async def removexattr(self, inode: int, name: bytes, ctx: Any) -> None:
        raise UnsupportedError("the service stores no attributes")

    @request()
    async def statfs(self, ctx: Any) -> pyfuse3.StatvfsData:
        room = self._writing.room()
        return room_statfs(room.total_bytes, room.free_bytes)

    # Names

    @request()
    async def mkdir(
        self, parent_inode: int, name: bytes, mode: int, ctx: Any
    ) -> pyfuse3.EntryAttributes:
        directory, text = self._named(parent_inode, name)
        with self._pushes.held(parent_inode):
            folder = await self._writing.folders.make(directory, text)
        return self._handed_out(parent_inode, text, folder)

    @request()
    async def rmdir(self, parent_inode: int, name: bytes, ctx: Any) -> None:
        with self._pushes.held(parent_inode):
            await self._writing.folders.remove(*self._named(parent_inode, name))

    @request()
    async def unlink(self, parent_inode: int, name: bytes, ctx: Any) -> None:
        with self._pushes.held(parent_inode):
            await self._writing.unlink(*self._named(parent_inode, name))

    @request()
    async def rename(
        self,
        parent_inode_old: int,
        name_old: bytes,
        parent_inode_new: int,
        name_new: bytes,
        flags: int,
        ctx: Any,
    ) -> None:
        if flags & ~RENAME_NOREPLACE:
            raise pyfuse3.FUSEError(errno.EINVAL)
        target, new = self._named(parent_inode_new, name_new)
        directory, old = self._named(parent_inode_old, name_old)  # last: its path is the request's
        with self._pushes.held(parent_inode_old, parent_inode_new):
            moved = await self._writing.rename(
                directory, old, target, new, replace=not flags & RENAME_NOREPLACE
            )
        self._inodes.renamed(moved, parent_inode_new, new)

    @request()
    async def link(self, inode: int, new_parent_inode: int, new_name: bytes, ctx: Any) -> Any:
        raise NotPermittedError("the service has no links")

    @request()
    async def symlink(self, parent_inode: int, name: bytes, target: bytes, ctx: Any) -> Any:
        raise NotPermittedError("the service has no links")

    @request()
    async def mknod(self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: Any) -> Any:
        if not stat.S_ISREG(mode):
            raise NotPermittedError("the service has no devices, pipes or sockets")
        directory, text = self._named(parent_inode, name)
        with self._pushes.held(parent_inode):
            node = await self._writing.make_empty(directory, text)
        return self._handed_out(parent_inode, text, node)

    def _named(self, parent_inode: int, name: bytes) -> tuple[Directory, str]:
        directory = self._inodes.directory(parent_inode)
        text = self._drive.listed_name(directory, _text(name))
        access.get().path = f"{self._inodes.path(parent_inode).rstrip('/')}/{text}"
        return directory, text

    def _place(self, row: Inode) -> tuple[Directory, str] | None:
        parent = self._inodes.directory_if_referenced(row.parent)
        return None if parent is None else (parent, row.name)

    def _handed_out(self, parent: int, name: str, node: Child) -> pyfuse3.EntryAttributes:
        row = self._inodes.ref(parent, name, node)
        entry = self._entry(row.number, node, self._timeout_s(parent))
        row.reported_size = entry.st_size
        return entry
