"""Where in the drive the other ends of relations are: by what is known, then by their ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dmfs.aps.questions.refs import Other
from dmfs.drive import Drive
from dmfs.errors import AccessError, DriveError, NotFoundError
from dmfs.jobs.links.following import Following
from dmfs.jobs.reports import EVERYBODYS, Reports
from dmfs.model import (
    Child,
    Directory,
    File,
    Folder,
    Hub,
    Listing,
    Project,
    ProjectId,
    Root,
    Shortcut,
    own_id,
)
from dmfs.system.concurrency import computed
from dmfs.web_links.link import WebLink

LOOKS_MAX = 200
"""Of one run: what is further is named, and not looked for. Each look takes some calls, of 300 a
minute that people need as well."""
LIVE = Root, Hub, Project, Folder
Known = dict[str, tuple[Directory, str, Child]]


class Found(NamedTuple):
    """The end of a relation."""

    path: str = ""
    """In the whole drive; '' where it is not known."""
    node: Child | None = None
    """As a listing shows it, which may be older than the answer that named it."""
    is_refused: bool = False
    """The service has no such thing to show to this user."""


class Places:
    """Remembers what it found for one run."""

    def __init__(self, drive: Drive, reports: Reports) -> None:
        self._drive = drive
        self._reports = reports
        self._known: Known | None = None
        self._found: dict[str, Found] = {}
        self._looks = 0

    async def of(self, project_id: ProjectId, other: Other) -> Found:
        """Where it is. DriveErrors only where the rest would meet them too."""
        key = other.id if other.kind == "folders" else other.item_id or other.id
        known = await self._recalled(key)
        if known is not None:
            return known
        if other.is_deleted:
            return Found()
        if key not in self._found:
            if self._looks >= LOOKS_MAX:
                return Found()
            self._looks += 1
            self._found[key] = await self._look(project_id, other)
        return self._found[key]

    async def _recalled(self, key: str) -> Found | None:
        """In the listings in memory when the run began, and in those of later looks."""
        if self._known is None:
            every = self._drive.parts.listings.cache.all()
            shown = [each.listing for each in every if isinstance(each.listing.directory, LIVE)]
            self._known = await computed(lambda: _known(shown))
        at = self._known.get(key)
        above = self._drive.known_path(at[0]) if at is not None else ""
        return None if at is None or not above else Found(_below(above, at[1]), at[2])

    async def _look(self, project_id: ProjectId, other: Other) -> Found:
        link = WebLink(
            project_id=project_id,
            folder_id=other.id if other.kind == "folders" else "",
            item_id=other.item_id if other.is_described or other.kind == "items" else "",
            version_id="" if other.is_described or other.kind != "versions" else other.id,
        )
        try:
            place = await Following(self._drive, self._reports, link).place()
        except EVERYBODYS:
            raise
        except (AccessError, NotFoundError):
            return Found(is_refused=not other.is_described)
        except DriveError:
            return Found()
        listing = self._drive.known(place.at.node)
        if listing is not None and self._known is not None:
            self._known |= _known([listing])
        return Found(place.path, place.node)


def _known(listings: Sequence[Listing]) -> Known:
    return {
        own_id(child): (listing.directory, name, child)
        for listing in listings
        for name, child in _in_projects(listing)
    }


def _in_projects(listing: Listing) -> Iterable[tuple[str, Child]]:
    return (row for row in listing.entries.items() if isinstance(row[1], Folder | File | Shortcut))


def _below(above: str, name: str) -> str:
    return f"{above.rstrip('/')}/{name}"
