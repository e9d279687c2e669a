"""Where the hits of a search are: folders by their ids, up to one whose path is known."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

import trio

from dmfs.aps.questions.search import FolderAbove, Hits, Search
from dmfs.drive import Drive
from dmfs.errors import AccessError, DriveError
from dmfs.jobs.find.looking import Looking, is_gone
from dmfs.jobs.reports import EVERYBODYS
from dmfs.jobs.tree import DirectoryPlace
from dmfs.model import File, Folder, FolderId, ItemId, Listing, Project, Shortcut
from dmfs.system.concurrency import SingleFlight, gather

T = TypeVar("T")
log = logging.getLogger(__name__)

AT_ONCE = 8
DEPTH_MAX = 32
"""The service's folders are at most 25 levels deep: more is a circle."""
HOMELESS_MAX = 50
"""Hits without a folder that are asked for one by one."""


class Homes:
    """Asks for each folder once."""

    def __init__(
        self, drive: Drive, looking: Looking, search: Search, nursery: trio.Nursery
    ) -> None:
        self._drive = drive
        self._looking = looking
        self._search = search
        self._slots = trio.CapacityLimiter(AT_ONCE)
        self._flights: SingleFlight[str, FolderAbove | None] = SingleFlight(nursery)
        self._above: dict[str, FolderAbove | None] = {}

    async def of(self, at: DirectoryPlace, hits: Hits) -> list[DirectoryPlace]:
        """The folders of hits below a folder, without those that are not there any more."""
        top = at.node
        assert isinstance(top, Folder)
        self._looking.places.setdefault(top.identity, at)
        project = Project(top.project_id, top.hub_id, "")
        folder_ids = hits.folder_ids | await self._of_homeless(project, hits)
        places = await gather([partial(self._place, project, each) for each in folder_ids])
        return [place for place in places if place is not None]

    async def _of_homeless(self, project: Project, hits: Hits) -> set[FolderId]:
        found: set[FolderId] = set()

        async def one(item_id: ItemId) -> None:
            async with self._slots:
                child = await _unless_gone(partial(self._drive.parts.aps.item, project, item_id))
            if isinstance(child, File | Shortcut) and child.folder_id:
                found.add(child.folder_id)

        await gather([partial(one, each) for each in sorted(hits.homeless)[:HOMELESS_MAX]])
        return found

    async def _place(self, project: Project, folder_id: FolderId) -> DirectoryPlace | None:
        """Its path; None where it is gone, or is not shown."""
        chain: list[Folder] = []
        while True:
            place = self._looking.places.get(f"folder {project.id} {folder_id}")
            if place is not None:
                break
            above = None if len(chain) >= DEPTH_MAX else await self._folder(project, folder_id)
            if above is None or above.is_hidden or not above.parent_id:
                return None
            chain.append(above.folder)
            folder_id = above.parent_id
        for folder in reversed(chain):
            name = await self._name_in(place, folder)
            if not name:
                return None
            place = DirectoryPlace(folder, place.below(name))
            self._looking.places[folder.identity] = place
        return place

    async def _name_in(self, place: DirectoryPlace, folder: Folder) -> str:
        """Its name in the drive; '' where it does not show. Only a listing tells of equal names,
        and of folders that BIM 360 made for itself."""
        await self._looking.visit_alone(place)
        listing = self._drive.parts.listings.known(place.node)
        return "" if listing is None else _shown_name(listing, folder)

    async def _folder(self, project: Project, folder_id: FolderId) -> FolderAbove | None:
        if folder_id not in self._above:
            ask = partial(self._ask_folder, project, folder_id)
            self._above[folder_id] = await self._flights.join(folder_id, ask).wait()
        return self._above[folder_id]

    async def _ask_folder(self, project: Project, folder_id: FolderId) -> FolderAbove | None:
        async with self._slots:
            return await _unless_gone(
                partial(
                    self._looking.reports.patiently,
                    partial(self._search.folder, project, folder_id),
                )
            )


async def _unless_gone(ask: Callable[[], Awaitable[T]]) -> T | None:
    try:
        return await ask()
    except EVERYBODYS:
        raise
    except DriveError as error:
        if isinstance(error, AccessError) or is_gone(error):
            log.debug("a hit of the search is not there: %s", error.message)
            return None
        raise


def _shown_name(listing: Listing, folder: Folder) -> str:
    entries = listing.entries.items()
    names = (name for name, child in entries if child.identity == folder.identity)
    return next(names, "")
