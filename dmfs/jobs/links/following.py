"""From a link to its place in the drive: by what is known, then with as few calls as there are
levels.

What is known, in memory or on disk, costs no call, however old it is. Else the project is looked
for in the lists of projects; what is in it, by its id: one call for a file (in ``b.`` projects the
answer has the names above it), one for each folder between it and what is listed. Then each
directory on the way is listed, because only a listing knows under which name something shows.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import NamedTuple, TypeVar

from dmfs.aps.questions.by_id import ById, FoundFolder, FoundItem
from dmfs.drive import Drive
from dmfs.errors import AccessError, DriveError, NotFoundError
from dmfs.jobs.links.wanted import (
    found_in,
    hubs_in_order,
    is_hub,
    is_named,
    may_hold,
    meant_by,
    searched_for,
    version_base,
)
from dmfs.jobs.reports import EVERYBODYS, Reports
from dmfs.jobs.tree import DirectoryPlace
from dmfs.model import Child, Directory, Folder, FolderId, Hub, Listing, Project, Root
from dmfs.namespace.listing_cache import DEPTH_MAX
from dmfs.system.clock import Moment
from dmfs.system.concurrency import deadline
from dmfs.web_links.link import WebLink

PROJECTS_MAX = 250
"""In so many projects something is looked for of which the link names none: less than the calls of
a minute."""
RECENT_S = 15.0
"""A project may have been shared a moment ago, and its link sent."""
REFUSED = 403
T = TypeVar("T")


class Place(NamedTuple):
    """Where something is shown. ``at``: the directory; of a hub the root."""

    node: Child
    name: str
    at: DirectoryPlace
    moment: Moment | None = None
    """When it was listed so, where that was known before; else it is of now."""

    @property
    def path(self) -> str:
        return self.at.below(self.name)


class _Chain(NamedTuple):
    """Folders by their ids, the highest first, below a directory."""

    start: DirectoryPlace
    ids: list[FolderId]


class Following:
    """Follows one link."""

    def __init__(self, drive: Drive, reports: Reports, link: WebLink) -> None:
        self._drive = drive
        self._listings = drive.parts.listings
        self._ask = ById(drive.parts.aps.service)
        self._reports = reports
        self._link = link

    async def place(self) -> Place:
        """NotFoundError, AccessError and other DriveErrors say why there is none."""
        link = self._link
        if not link.entity_id:
            return await self._hub_or_project()
        known = await self._known(link)
        if known is not None:
            return known
        if link.storage_id and not (link.item_id or link.version_id):
            raise NotFoundError(
                "no file with these bytes is known here",
                hint="the id of bytes says nothing of where they are: list the folder first",
            )
        if link.project_id or link.project_number:
            return await self._in_project(await self._project())
        return await self._somewhere()

    async def again(self, place: Place) -> Place:
        """As it is shown after a new listing of its directory."""
        listing = await self._patiently(partial(self._listings.list_again, place.at.node))
        found = found_in(listing, self._link)
        if found is None:
            raise _not_shown()
        return Place(found[1], found[0], place.at)

    # What is known

    async def _known(self, link: WebLink) -> Place | None:
        holders = await self._listings.by_id.holders(searched_for(link), meant_by(link))
        for holder in holders:
            path = await self._listings.by_id.way(holder.directory.identity)
            if path:
                at = DirectoryPlace(holder.directory, path)
                return Place(holder.child, holder.name, at, holder.moment)
        return None

    # Hubs and projects

    async def _hub_or_project(self) -> Place:
        link = self._link
        is_either = bool(link.project_id) and link.project_id == link.hub_id
        if (link.project_id or link.project_number) and not is_either:
            return await self._project()
        root = DirectoryPlace(Root(), "/")
        for ask in (self._recalled, self._now):
            hubs = await ask(Root())
            for name, hub in (hubs.entries if hubs else {}).items():
                if isinstance(hub, Hub) and is_hub(link, hub):
                    return Place(hub, name, root)
        if is_either:
            return await self._project()
        raise NotFoundError(
            "none of the hubs that this sign-in sees is the one of this link",
            hint="dmfs whoami shows who is signed in, and the hubs",
        )

    async def _project(self) -> Place:
        """The project that the link names."""

        async def look(place: Place, project: Project) -> Place | None:
            return place if is_named(self._link, project) else None

        found = await self._first(look)
        if found is None:
            raise NotFoundError(
                "none of the projects that this sign-in sees is the one of this link",
                hint="it may be archived, of another account or region, or not shared with you",
            )
        return found

    async def _first(
        self, look: Callable[[Place, Project], Awaitable[Place | None]]
    ) -> Place | None:
        """What ``look`` finds first in the projects that may be meant: in those that are known,
        then hub by hub in those of now."""
        seen: set[str] = set()
        failed: DriveError | None = None
        for ask in (self._recalled, self._now):
            root = await ask(Root())
            for name, hub in hubs_in_order(self._link, root.entries if root else {}):
                try:
                    listing = await ask(hub)
                except EVERYBODYS:
                    raise
                except DriveError as error:
                    failed = failed or error
                    continue
                at = DirectoryPlace(hub, f"/{name}")
                for entry, project in (listing.entries if listing else {}).items():
                    if not isinstance(project, Project) or project.identity in seen:
                        continue
                    seen.add(project.identity)
                    found = await look(Place(project, entry, at), project)
                    if found is not None:
                        return found
        if failed is not None:
            raise failed  # who did not answer may have it: failure never looks like absence
        return None

    # In a project

    async def _somewhere(self) -> Place:
        """What is named by an id that says nothing of its project: ask in each that may hold it."""
        looks = 0

        async def look(place: Place, project: Project) -> Place | None:
            nonlocal looks
            if not may_hold(self._link, project):
                return None
            looks += 1
            if looks > PROJECTS_MAX:
                raise NotFoundError(
                    f"it is in none of the first {PROJECTS_MAX} projects",
                    hint="paste the address of its page, which names the project",
                )
            try:
                found = await self._by_id(project)
            except DriveError as error:
                if error.status != REFUSED:
                    raise
                return None
            return None if found is None else await self._in_project(place, found)

        place = await self._first(look)
        if place is None:
            raise NotFoundError(
                "in none of the projects that this sign-in sees is there such a thing",
                hint="it may have been deleted, or is in a project that is archived or not yours",
            )
        return place

    async def _by_id(self, project: Project) -> FoundItem | FoundFolder | None:
        """What the link names, as its project has it; None where it has no such thing."""
        link = self._link
        if link.entity_id == link.folder_id:
            return await self._patiently(partial(self._ask.folder, project, link.folder_id))
        item_id: str | None = link.item_id
        if not item_id:
            # most ids of versions repeat that of their item, and then one call is enough
            base = version_base(link.version_id)
            guess = base.replace("fs.file:vf.", "dm.lineage:")
            found = await self._patiently(partial(self._ask.item, project, guess))
            if found is not None and version_base(found.tip_id) == base:
                return found
            item_id = await self._patiently(partial(self._ask.item_of, project, link.version_id))
        if not item_id:
            return None
        return await self._patiently(partial(self._ask.item, project, item_id))

    async def _in_project(
        self, place: Place, found: FoundItem | FoundFolder | None = None
    ) -> Place:
        project = place.node
        assert isinstance(project, Project)
        link, top = self._link, DirectoryPlace(project, place.path)
        if link.folder_id and link.folder_id == project.root_folder_id == link.entity_id:
            return place
        if found is None:
            shown = await self._shown_in(top, hinted=link.folder_id)
            if shown is not None:
                return shown
            found = await self._by_id(project)
        if found is None:
            raise NotFoundError(
                "the project has no such thing", hint="it may have been deleted, or moved away"
            )
        if found.is_deleted:
            raise NotFoundError(f"{found.name or 'this'!r}, where the link leads to, was deleted")
        if isinstance(found, FoundFolder):
            chain = await self._chain(top, found)
            return await self._down(chain)
        return await self._entry(await self._folder(top, found), WebLink(item_id=found.item_id))

    async def _shown_in(self, top: DirectoryPlace, hinted: str) -> Place | None:
        """What the project, or the folder that the link names, lists. The project's listing is on
        every way; the folder's only where it is known which that is."""
        listing = await self._listed(top.node)
        found = found_in(listing, self._link)
        if found is not None:
            return Place(found[1], found[0], top)
        if not hinted or hinted == self._link.entity_id:
            return None
        link = WebLink(folder_id=hinted)
        row = found_in(listing, link)
        folder = None if row is None else Place(row[1], row[0], top)
        folder = folder or await self._known(link)
        if folder is None or not isinstance(folder.node, Folder):
            return None
        at = DirectoryPlace(folder.node, folder.path)
        found = found_in(await self._listed(folder.node), self._link)
        return None if found is None else Place(found[1], found[0], at)

    async def _folder(self, top: DirectoryPlace, found: FoundItem) -> DirectoryPlace:
        """The directory that an item is in."""
        project = top.node
        assert isinstance(project, Project)
        if found.folder_id == project.root_folder_id:
            return top
        known = await self._known(WebLink(folder_id=found.folder_id))
        if known is not None and isinstance(known.node, Folder):
            return DirectoryPlace(known.node, known.path)
        named = await self._by_names(top, found)
        if named is not None:
            return named
        folder = await self._patiently(partial(self._ask.folder, project, found.folder_id))
        if folder is None:
            raise _not_shown()
        place = await self._down(await self._chain(top, folder))
        assert isinstance(place.node, Folder)
        return DirectoryPlace(place.node, place.path)

    async def _by_names(self, top: DirectoryPlace, found: FoundItem) -> DirectoryPlace | None:
        """Down the names that the service tells; None where they do not lead to the folder, as for
        a guest, to whom the drive shows only the lower part of them."""
        at = top
        for name in found.above or ():
            listing = await self._listed(at.node)
            rows = [
                (shown, child)
                for shown, child in listing.entries.items()
                if isinstance(child, Folder) and child.name == name
            ]
            right = [row for row in rows if row[1].id == found.folder_id] or rows
            if len(right) != 1:
                return None
            shown, folder = right[0]
            at = DirectoryPlace(folder, at.below(shown))
            if folder.id == found.folder_id:
                return at
        return None

    async def _chain(self, top: DirectoryPlace, folder: FoundFolder) -> _Chain:
        """Up from a folder to one whose place is known."""
        project = top.node
        assert isinstance(project, Project)
        listing = await self._listed(project)
        tops = {child.id for child in listing.entries.values() if isinstance(child, Folder)}
        ids = [folder.folder_id]
        while folder.folder_id not in tops and folder.parent_id != project.root_folder_id:
            known = await self._known(WebLink(folder_id=folder.parent_id))
            if known is not None and isinstance(known.node, Folder):
                return _Chain(DirectoryPlace(known.node, known.path), ids[::-1])
            if folder.parent_id in tops:
                ids.append(folder.parent_id)
                break
            above = None
            if folder.parent_id and len(ids) < DEPTH_MAX:
                ask = partial(self._ask.folder, project, folder.parent_id)
                above = await self._patiently(ask)
            if above is None:
                raise _not_shown()
            folder = above
            ids.append(folder.folder_id)
        return _Chain(top, ids[::-1])

    async def _down(self, chain: _Chain) -> Place:
        at = chain.start
        for folder_id in chain.ids:
            place = await self._entry(at, WebLink(folder_id=folder_id))
            assert isinstance(place.node, Folder)
            at = DirectoryPlace(place.node, place.path)
        return place

    async def _entry(self, at: DirectoryPlace, link: WebLink) -> Place:
        """What a link names in a directory. A listing may be older than what the service just
        said: then once more."""
        for ask in (self._listed, partial(self._listed, again=True)):
            found = found_in(await ask(at.node), link)
            if found is not None:
                return Place(found[1], found[0], at)
        raise _not_shown()

    # Asking

    async def _recalled(self, directory: Directory) -> Listing | None:
        return await self._listings.recall(directory)

    async def _now(self, directory: Directory) -> Listing:
        """A listing by which something may be called absent: not an old one, which a drive without
        a network serves, too."""
        moment = self._listings.listed_at(directory)
        age_s = None if moment is None else moment.age_s()
        return await self._listed(directory, again=age_s is None or age_s >= RECENT_S)

    async def _listed(self, directory: Directory, *, again: bool = False) -> Listing:
        ask = self._listings.list_again if again else self._listings.get
        return await self._patiently(partial(ask, directory))

    async def _patiently(self, work: Callable[[], Awaitable[T]]) -> T:
        async def within_the_deadline() -> T:
            with deadline(self._drive.settings.metadata_timeout, "follow the link"):
                return await work()

        return await self._reports.patiently(within_the_deadline)


def _not_shown() -> DriveError:
    return AccessError(
        "what this link leads to is in a folder that the drive does not show",
        hint="a folder of a tool such as Issues, one above what is shared with you, or deleted",
    )
