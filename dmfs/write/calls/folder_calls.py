"""Changes of folders: the service's own calls, made at once, each looked into when its answer is
lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import trio

from dmfs.aps.uploads import Uploads
from dmfs.errors import (
    DriveError,
    NameTakenError,
    NotPermittedError,
    OtherFolderError,
    UnknownOutcomeError,
)
from dmfs.model import Directory, Folder, Listing
from dmfs.names import printable
from dmfs.write.records import is_account, place_of

LOOKS_S = (0.5, 2.0, 5.0)
"""Pauses before each look after a lost answer: the request may still be on its way."""

ListAgain = Callable[[Directory], Awaitable[Listing]]


class FolderCalls:
    """See above. Every method returns what the drive shows from now on."""

    def __init__(self, uploads: Uploads, list_again: ListAgain) -> None:
        self._uploads = uploads
        self._list_again = list_again

    async def make(self, directory: Directory, name: str) -> Folder:
        """A new folder, or the one of that name that a lost answer has made."""
        place = place_of(directory, name)
        assert place is not None
        try:
            return await self._uploads.new_folder(
                place.project_id, place.folder, name, hub_id=place.hub_id
            )
        except (UnknownOutcomeError, NameTakenError) as error:
            found = await self._look(
                directory, name, patient=isinstance(error, UnknownOutcomeError)
            )
            if found is None:
                raise
            if isinstance(error, NameTakenError):
                raise  # somebody was quicker; it is listed now
            return found

    async def hide(self, folder: Folder) -> None:
        """Delete an empty folder; the service keeps it, hidden."""
        await self._uploads.change_folder(folder.project_id, folder.id, hidden=True)

    async def change(
        self, folder: Folder, directory: Directory, target: Directory, name: str
    ) -> Folder:
        """Rename a folder, move it, or both. OtherFolderError to another project."""
        place = place_of(target, name)
        if place is None:
            raise NotPermittedError(f"no folder can be moved to {printable(target.name or '/')!r}")
        if place.project_id != folder.project_id:
            raise OtherFolderError("the service does not move a folder to another project")
        moves = directory.identity != target.identity
        if moves and not is_account(folder):
            raise OtherFolderError("the service does not move folders of such a hub")
        try:
            await self._uploads.change_folder(
                folder.project_id, folder.id,
                name=name if name != folder.name else None,
                parent=place.folder if moves else None,
            )  # fmt: skip
        except UnknownOutcomeError:
            if await self._look(target, name) is None:
                raise
        return replace(folder, name=name)

    async def _look(
        self, directory: Directory, name: str, *, patient: bool = True
    ) -> Folder | None:
        for pause_s in LOOKS_S if patient else (0.0,):
            await trio.sleep(pause_s)
            try:
                child = (await self._list_again(directory)).entries.get(name)
            except DriveError:
                continue
            if isinstance(child, Folder):
                return child
        return None
