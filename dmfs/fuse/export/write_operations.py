"""The same of a mount with ``-o rw``: what is made has a handle, too."""

from __future__ import annotations

from typing import Any

import pyfuse3

from dmfs.fuse.export.operations import Exporting
from dmfs.fuse.write_operations import WriteOperations


class ExportWriteOperations(Exporting, WriteOperations):
    """See both."""

    async def create(
        self, parent_inode: int, name: bytes, mode: int, flags: int, ctx: Any
    ) -> tuple[pyfuse3.FileInfo, pyfuse3.EntryAttributes]:
        made = await super().create(parent_inode, name, mode, flags, ctx)
        await self._stored.written()
        return made

    async def mkdir(
        self, parent_inode: int, name: bytes, mode: int, ctx: Any
    ) -> pyfuse3.EntryAttributes:
        made = await super().mkdir(parent_inode, name, mode, ctx)
        await self._stored.written()
        return made

    async def mknod(self, parent_inode: int, name: bytes, mode: int, rdev: int, ctx: Any) -> Any:
        made = await super().mknod(parent_inode, name, mode, rdev, ctx)
        await self._stored.written()
        return made

    async def rename(
        self,
        parent_inode_old: int,
        name_old: bytes,
        parent_inode_new: int,
        name_new: bytes,
        flags: int,
        ctx: Any,
    ) -> None:
        await super().rename(parent_inode_old, name_old, parent_inode_new, name_new, flags, ctx)
        await self._stored.written()
