"""Renames, copies and deletions of items on the service, each after a look at what it has now."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace

import trio

from dmfs.aps.change.answers import Tip
from dmfs.aps.uploads import Uploads
from dmfs.errors import (
    AccessError,
    BadInputError,
    DriveError,
    GoneError,
    LockedError,
    NameTakenError,
    NotPermittedError,
    SignedOutError,
    UnknownOutcomeError,
)
from dmfs.model import Directory, File, ItemId, Listing, Project, own_id
from dmfs.write.overlay.view import FolderView
from dmfs.write.records import Place, is_account
from dmfs.write.settle.nouns import CopyItem, DeleteItem, RenameItem

log = logging.getLogger(__name__)

LOOKS_S = (10.0, 30.0)
"""Pauses before each look after a lost answer: the request may still be on its way."""

UNSEEN_MAX = 10

ListAgain = Callable[[Directory], Awaitable[Listing]]
NameStep = RenameItem | CopyItem | DeleteItem


class NameCalls:
    """See above."""

    def __init__(
        self, uploads: Uploads, list_again: ListAgain, beside: Callable[[str, Collection[str]], str]
    ) -> None:
        """``beside``: name, names that are taken → the name of a conflict copy."""
        self._uploads = uploads
        self._list_again = list_again
        self._beside = beside

    def name_beside(self, view: FolderView, step: NameStep, listing: Listing) -> tuple[str, bool]:
        """Another name for a file whose own another item has; '' where none has exactly that, or
        one of ours, which is about to leave it: then True."""
        if isinstance(step, DeleteItem):
            return "", False
        others = [each for each in listing.entries.values() if own_id(each) != step.item.item_id]
        taken = [own_id(each) for each in others if each.name == step.name]
        own = any(view.names.knows(ItemId(each)) for each in taken)
        if own or not taken:
            return "", own
        names = {*listing.entries, *(each.name for each in others)}
        return self._beside(step.name, names), False

    def is_final(self, error: DriveError) -> bool:
        """Whether only a person can help."""
        if isinstance(error, SignedOutError | LockedError):
            return False
        kinds = (AccessError, BadInputError, NameTakenError, NotPermittedError)
        return isinstance(error, kinds)

    async def carry_out(
        self, view: FolderView, step: NameStep, still_due: Callable[[], bool]
    ) -> tuple[bool, File | None]:
        """Whether the step is done, and the item as it is then. False: what it was for has gone,
        and the folder is seen as the service has it. ``still_due``: whether it would be planned
        now: the look takes its time, and a person may have taken a deletion back meanwhile."""
        place = view.place(step.place)
        project = Project(place.project_id, place.hub_id, "")
        tip = await self._tip(project, step)
        if not still_due():
            return False, None
        if isinstance(step, DeleteItem):
            return await self._delete(view, project, step, tip)
        if not tip.exists or tip.file is None:
            view.gone(step.item, step.place)
            return False, None
        try:
            made = await self._make(view, project, step, tip.file)
        except UnknownOutcomeError:
            found = await self._look(view, project, step)
            if found is None:
                raise
            made = found
        if isinstance(step, RenameItem) and tip.file.version_id != step.item.version_id:
            known = view.file_of(step.item)
            if known is not None and not still_due():
                # something else has its name by now, and goes up over it: over what was seen here
                made = replace(known, name=step.name)
        return True, made

    async def _tip(self, project: Project, step: NameStep) -> Tip:
        try:
            return await self._uploads.item(project, step.item.item_id)
        except GoneError:  # with its folder, perhaps
            return Tip(None, "", "", exists=False)

    async def copy(self, file: File, target: Directory, place: Place) -> File:
        """A version as a new item in another folder of its project; after a lost answer the one
        that this made."""
        try:
            posted = await self._uploads.copy_item(
                place.project_id, place.folder, file.version_id, place.name
            )
        except UnknownOutcomeError:
            for pause_s in LOOKS_S:
                await trio.sleep(pause_s)
                child = (await self._list_again(target)).entries.get(place.name)
                if isinstance(child, File):
                    return child
            raise
        return posted.file

    async def _make(self, view: FolderView, project: Project, step: NameStep, tip: File) -> File:
        item_id, uploads = step.item.item_id, self._uploads
        if isinstance(step, CopyItem):
            version_id = step.item.version_id
            posted = await uploads.copy_item(project.id, view.folder_id, version_id, step.name)
            return posted.file
        assert isinstance(step, RenameItem)
        if is_account(project):
            posted = await uploads.copy_version(project.id, item_id, tip.version_id, step.name)
            return posted.file
        await uploads.rename_in_place(project.id, item_id, tip.version_id, step.name)
        return replace(tip, name=step.name)

    async def _delete(
        self, view: FolderView, project: Project, step: DeleteItem, tip: Tip
    ) -> tuple[bool, File | None]:
        if not tip.exists or tip.file is None:
            return True, None
        if step.item.version_id and tip.file.version_id != step.item.version_id:
            log.warning("%r is not deleted: somebody has changed it meanwhile", step.item.name)
            view.revive(step.item.item_id)
            return False, None
        number = 0
        try:
            number = await self._uploads.delete_item(project.id, step.item.item_id)
        except UnknownOutcomeError:
            for pause_s in LOOKS_S:
                await trio.sleep(pause_s)
                if (await self._uploads.item(project, step.item.item_id)).file is None:
                    break
            else:
                raise
        if number != (tip.file.version_number or 0) + 1:
            theirs = await self._unseen(tip.file)
            if theirs is not None:
                log.warning("%r is restored: somebody was saving it just then", theirs.name)
                await self._uploads.copy_version(project.id, theirs.item_id, theirs.version_id)
                view.revive(step.item.item_id)
                return False, None
        return True, None

    async def _unseen(self, tip: File) -> File | None:
        """The newest of the versions that came between a look and a deletion."""
        theirs, number = None, tip.version_number or 0
        for _ in range(UNSEEN_MAX):
            number += 1
            found = await self._uploads.version_of(tip, number)
            if found is None:
                break
            theirs = found
        return theirs

    async def _look(self, view: FolderView, project: Project, step: NameStep) -> File | None:
        """What a step has made whose answer was lost; None if nothing is there."""
        for pause_s in LOOKS_S:
            await trio.sleep(pause_s)
            if isinstance(step, CopyItem):
                child = (await self._list_again(view.directory)).entries.get(step.name)
                if isinstance(child, File):
                    return child
                continue
            tip = await self._uploads.item(project, step.item.item_id)
            if tip.file is None:
                continue
            if isinstance(step, RenameItem) and tip.file.name == step.name:
                return tip.file
        return None
