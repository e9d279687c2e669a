"""A deleted file is there again: its last version with bytes becomes the newest one."""

from __future__ import annotations

import trio

from dmfs.errors import (
    ExistsError,
    NotFoundError,
    NotPermittedError,
    UnknownOutcomeError,
)
from dmfs.model import Directory, File, ItemId, Project
from dmfs.names import printable
from dmfs.write.records import is_account, place_of
from dmfs.write.settle.nouns import DeleteItem
from dmfs.write.writing import Writing

LOOKS_S = (2.0, 10.0)
"""Pauses before each look after a lost answer."""


async def restore(writing: Writing, directory: Directory, name: str) -> None:
    """What was deleted last under ``name``. NotFoundError, NotPermittedError where the service has
    no such call, ExistsError."""
    place = place_of(directory, name)
    if place is None or not is_account(place):
        raise NotPermittedError(
            "the service does not restore files of this kind of hub",
            hint="its web page may do that",
        )
    listings = writing.tools.listings
    if await _take_back(writing, directory, name):
        return
    # a listing that is newer than the deletion: it must not hide what comes back
    await listings.list_again(directory)
    if name in (await listings.get(directory)).entries:
        raise ExistsError(f"there is a {printable(name)!r}", hint="nothing was deleted")
    project = Project(place.project_id, place.hub_id, "")
    version = await writing.tools.deleted.last(project, place.folder, name)
    if version is None:
        raise NotFoundError(
            f"no {printable(name)!r} was deleted here", hint="names count as they were spelled"
        )
    await _post(writing, project, version.item_id, version)
    await listings.list_again(directory)


async def _take_back(writing: Writing, directory: Directory, name: str) -> bool:
    """Whether it was deleted here a moment ago, and the service has not heard of it."""
    view = writing.overlay.view(directory)
    for pending in writing.settler.pending_names():
        step = pending.step
        ours = pending.view is view and step.place == name
        if ours and isinstance(step, DeleteItem):
            view.revive(step.item.item_id)
            await writing.spool.commit(view.rows())
            writing.settler.orders.show_anew(view, [name])
            return True
    return False


async def _post(writing: Writing, project: Project, item_id: ItemId, version: File) -> None:
    uploads = writing.tools.uploads
    try:
        await uploads.copy_version(project.id, item_id, version.version_id, hub_id=project.hub_id)
    except UnknownOutcomeError:
        for pause_s in LOOKS_S:
            await trio.sleep(pause_s)
            if (await uploads.item(project, item_id)).file is not None:
                return
        raise
