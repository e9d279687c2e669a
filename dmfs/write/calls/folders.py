"""Folders, made, deleted and renamed: at once, by the service; or on this machine alone, where
programs make trees for themselves (``.git``)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

import trio

from dmfs.errors import (
    DriveError,
    ExistsError,
    NameTakenError,
    NotADirectory,
    NotEmptyError,
    NotPermittedError,
    OtherFolderError,
    UnknownOutcomeError,
    UnreachableError,
)
from dmfs.model import LOCAL_FOLDER, Child, Directory, Folder, FolderId
from dmfs.names import printable
from dmfs.namespace.listings import Listings
from dmfs.system.clock import wall_time_ns
from dmfs.write.calls.folder_calls import FolderCalls
from dmfs.write.overlay.overlay import Overlay
from dmfs.write.overlay.view import FolderView
from dmfs.write.records import Change, Place, is_account, new_folder_id
from dmfs.write.settle.local_names import is_local_folder
from dmfs.write.spool.spool import Spool

log = logging.getLogger(__name__)

RETRY_S = 30.0


class Names(Protocol):
    """What is in directories."""

    async def child(self, directory: Directory, name: str) -> Child | None: ...
    async def there(self, directory: Directory, name: str) -> Child: ...


class Places(Protocol):
    """What may be made there."""

    async def require_place(
        self, directory: Directory, name: str, *, is_file: bool, besides: str = ""
    ) -> Place: ...


class Drafted(Protocol):
    """Files with content of ours."""

    on_change: Callable[[FolderId], None]

    def moved_folder(self, folder_id: FolderId, other_id: FolderId) -> list[Change]: ...


class Folders:
    """See above."""

    def __init__(
        self, names: Names, places: Places, listings: Listings, spool: Spool, overlay: Overlay,
        drafts: Drafted, calls: FolderCalls,
    ) -> None:  # fmt: skip
        self._names = names
        self._places = places
        self._listings = listings
        self._spool = spool
        self._overlay = overlay
        self._calls = calls
        self._drafts = drafts
        self._nudged = trio.Event()
        self.on_made: Callable[[Folder, Folder], None] = lambda _old, _new: None
        """A folder is another node from now on."""

    async def make(self, directory: Directory, name: str) -> Folder:
        """mkdir(2)."""
        if await self._names.child(directory, name) is not None:
            raise ExistsError(f"there is a {printable(name)!r} already")
        place = await self._places.require_place(directory, name, is_file=False)
        if is_local_folder(name) or _stays_here(directory):
            folder = _here(place, later=False)
        elif isinstance(directory, Folder) and directory.comes_later:
            folder = _here(place, later=True)
        else:
            try:
                folder = await self._calls.make(directory, name)
            except UnknownOutcomeError:
                raise
            except UnreachableError as error:
                log.info("%s: it is made later", error.message)
                folder = _here(place, later=True)
        view = self._overlay.view(directory)
        view.shows(name, folder)
        await self._commit(view)
        return folder

    async def remove(self, directory: Directory, name: str) -> None:
        """rmdir(2); what the service has, only in ``b.`` projects."""
        node = await self._names.there(directory, name)
        if not self._overlay.can_be_in(directory):
            raise NotPermittedError("the service does not delete this")
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
        moves = directory.identity != target.identity
        if moves and (
            node.stays_here != _stays_here(target)
            or (not node.is_local and isinstance(target, Folder) and target.is_local)
        ):
            raise OtherFolderError("one of the folders is on this machine alone")
        if there is not None:
            if not isinstance(there, Folder):
                raise NotADirectory(f"{printable(new)!r} is not a directory")
            await self.remove(target, new)
        await self._places.require_place(target, new, is_file=False)
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

    # What is made later

    def later(self) -> list[tuple[FolderView, str, Folder]]:
        """Folders that the service is to get now, each with the view and the name that it is
        under; those below them follow."""
        return [
            (view, name, child)
            for view in self._overlay.views()
            for name, child in view.made.shown.items()
            if isinstance(child, Folder) and child.comes_later
            if not view.folder_id.startswith(LOCAL_FOLDER)
        ]

    async def make_later(self) -> None:
        """For ever: make what could not be made, as soon as the service can be reached."""
        while True:
            self._nudged = trio.Event()
            tried: set[FolderId] = set()
            while found := [each for each in self.later() if each[2].id not in tried]:
                for view, name, folder in found:
                    tried.add(folder.id)
                    try:
                        await self._make_now(view, name, folder)
                    except DriveError as error:
                        log.info("%s", error.message)
            with trio.move_on_after(RETRY_S):
                await self._nudged.wait()

    def nudge(self) -> None:
        """The service can be reached again."""
        self._nudged.set()

    async def _make_now(self, view: FolderView, name: str, folder: Folder) -> None:
        try:
            made = await self._calls.make(view.directory, name)
        except NameTakenError:
            there = (await self._listings.list_again(view.directory)).entries.get(name)
            if not isinstance(there, Folder) or self._overlay.is_in_use(there.id):
                raise
            made = there  # somebody else made one of that name
        if view.made.shown.get(name) is not folder:
            return  # renamed or deleted meanwhile: another one follows, and this one is empty
        view.shows(name, made)
        self.on_made(folder, made)
        changes = self._overlay.became(folder, made)
        changes += self._drafts.moved_folder(folder.id, made.id)
        await self._commit(view, more=changes)
        self._listings.shown_anew(view.directory, [name])
        self._drafts.on_change(made.id)

    async def _commit(self, view: FolderView, *, more: Sequence[Change] = ()) -> None:
        changes = [*more, *view.rows()]
        if changes:
            await self._spool.commit(changes)


def _here(place: Place, *, later: bool) -> Folder:
    now_ns = wall_time_ns()
    folder_id = new_folder_id(later=later)
    return Folder(folder_id, place.project_id, place.hub_id, place.name, now_ns, now_ns)


def _stays_here(directory: Directory) -> bool:
    return isinstance(directory, Folder) and directory.stays_here
