"""Folders, made, deleted and renamed: at once, by the service; or on this machine alone, where
programs make trees for themselves (``.git``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from dmfs.errors import (
    ExistsError,
    NotADirectory,
    NotEmptyError,
    NotPermittedError,
    OtherFolderError,
)
from dmfs.model import Child, Directory, Folder
from dmfs.names import printable
from dmfs.namespace.listings import Listings
from dmfs.system.clock import wall_time_ns
from dmfs.write.calls.folder_calls import FolderCalls
from dmfs.write.overlay import FolderView, Overlay
from dmfs.write.records import Change, Place, is_account, new_folder_id
from dmfs.write.settle.local_names import is_local_folder
from dmfs.write.spool.spool import Spool


class Names(Protocol):
    """What is in directories, and what may be made there."""

    async def child(self, directory: Directory, name: str) -> Child | None: ...
    async def there(self, directory: Directory, name: str) -> Child: ...
    async def free_place(
        self, directory: Directory, name: str, *, is_file: bool, besides: str = ""
    ) -> Place: ...


class Folders:
    """See above."""

    def __init__(
        self, names: Names, listings: Listings, spool: Spool, overlay: Overlay, calls: FolderCalls
    ) -> None:
        self._names = names
        self._listings = listings
        self._spool = spool
        self._overlay = overlay
        self._calls = calls

    async def make(self, directory: Directory, name: str) -> Folder:
        """mkdir(2)."""
        if await self._names.child(directory, name) is not None:
            raise ExistsError(f"there is a {printable(name)!r} already")
        place = await self._names.free_place(directory, name, is_file=False)
        if is_local_folder(name) or _is_local(directory):
            folder = Folder(
                new_folder_id(), place.project_id, place.hub_id, name, wall_time_ns(),
                wall_time_ns(),
            )  # fmt: skip
        else:
            folder = await self._calls.make(directory, name)
        view = self._overlay.view(directory)
        view.shows(name, folder)
        await self._commit(view)
        return folder

    async def remove(self, directory: Directory, name: str) -> None:
        """rmdir(2); what the service has, only in ``b.`` projects."""
        if not self._overlay.can_be_in(directory):
            raise NotPermittedError("the service does not delete this")
        node = await self._names.there(directory, name)
        if not isinstance(node, Folder):
            raise NotADirectory(f"{printable(name)!r} is not a folder")
        if not (is_account(node) or node.is_local):
            raise NotPermittedError("the service does not delete folders of such a hub")
        listing = self._overlay.shown(await self._listings.list_again(node))
        if listing.entries:
            raise NotEmptyError(f"{printable(name)!r} is not empty")
        if not node.is_local:
            await self._calls.hide(node)
        view = self._overlay.view(directory)
        view.hides_folder(node)
        await self._commit(view, more=self._overlay.forget(node))

    async def rename(
        self, directory: Directory, node: Folder, target: Directory, new: str, there: Child | None
    ) -> Folder:
        """rename(2); an empty folder that is ``there`` goes. OtherFolderError: between this machine
        and the service."""
        if directory.identity != target.identity and node.is_local != _is_local(target):
            raise OtherFolderError("one of the folders is on this machine alone")
        if there is not None:
            if not isinstance(there, Folder):
                raise NotADirectory(f"{printable(new)!r} is not a directory")
            await self.remove(target, new)
        await self._names.free_place(target, new, is_file=False)
        if node.is_local:
            moved = replace(node, name=new)
        else:
            moved = await self._calls.change(node, directory, target, new)
        goal, changed = self._overlay.view(target), []
        if self._overlay.can_be_in(directory):
            source = self._overlay.view(directory)
            source.hides_folder(node)
            changed = source.rows()
        goal.shows(new, moved)
        await self._commit(goal, more=changed)
        return moved

    async def _commit(self, view: FolderView, *, more: Sequence[Change] = ()) -> None:
        changes = [*more, *view.rows()]
        if changes:
            await self._spool.commit(changes)


def _is_local(directory: Directory) -> bool:
    return isinstance(directory, Folder) and directory.is_local
