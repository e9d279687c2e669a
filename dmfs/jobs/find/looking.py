"""Directories that ``find`` looks into, each once: what it takes from a listing, and how it gets
one."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from dmfs.drive import Drive
from dmfs.errors import DriveError, GoneError, NotFoundError, OfflineError, SignedOutError
from dmfs.jobs.find.criteria import Criteria
from dmfs.jobs.find.entries import Entry, entry, name_of
from dmfs.jobs.reports import Reports
from dmfs.jobs.tree import DirectoryPlace, folders_in
from dmfs.model import Directory, File, Folder, Hub, Listing, Node, Project, Shortcut
from dmfs.namespace.listing_cache import NEVER

ENTRIES_AN_EVENT = 200
TRIES = 3
KINDS: dict[type[Node], str] = {
    Hub: "hub", Project: "project", Folder: "folder", Shortcut: "shortcut",
}  # fmt: skip
_GONE = frozenset({404, 410})


def is_gone(error: DriveError) -> bool:
    """Whether the service says that there is no such thing."""
    return isinstance(error, GoneError | NotFoundError) or error.status in _GONE


class Looking:
    """Looks into directories and tells what is meant."""

    def __init__(
        self, drive: Drive, criteria: Criteria, reports: Reports, *, known_only: bool
    ) -> None:
        self.drive = drive
        self.criteria = criteria
        self.reports = reports
        self._named = criteria.of_names()
        self._known_only = known_only
        self._listings = drive.parts.listings
        self._offline: DriveError | None = None
        self.left: list[DirectoryPlace] = []
        """Directories that are not known, or stale: the highest ones."""
        self.places: dict[str, DirectoryPlace] = {}
        """Folders whose path is sure, by identity."""
        self._looked: set[str] = set()
        self.found = self.folders = self.unknown = 0
        self.oldest_s = 0.0
        """Age of the oldest listing that was used."""

    async def ask(self, directory: Directory) -> Listing:
        """The listing as the service has it now."""
        await self.reports.patiently(lambda: self._listings.renew(directory), tries=TRIES)
        return await self._listings.get(directory)

    async def take_top(self, top: DirectoryPlace) -> None:
        """The path itself, as find(1) does."""
        entries: list[Entry] = []
        if self._named(name_of(top.path)):
            self._take(top.path, top.node, entries)
        await self._tell(entries)

    async def visit_known(self, at: DirectoryPlace) -> Sequence[DirectoryPlace]:
        """Look at what is known, without a call; what is stale only if nothing else is wanted."""
        listing = await self.recall(at.node)
        stale = self._listings.fresh_for(at.node) <= 0
        if listing is None or (stale and not self._known_only):
            if self._known_only:
                self.unknown += 1
            self.left.append(at)
            return []
        return await self.look_into(at, listing)

    async def visit(self, at: DirectoryPlace) -> Sequence[DirectoryPlace]:
        """Look at it as it is now: no call where the listing is fresh."""
        listing = await self._now(at)
        return [] if listing is None else await self.look_into(at, listing)

    async def visit_alone(self, at: DirectoryPlace) -> Sequence[DirectoryPlace]:
        """The same, and go no deeper. Nothing is said of one that is gone."""
        if at.node.identity not in self._looked:
            listing = await self._now(at, may_be_gone=True)
            if listing is not None:
                await self.look_into(at, listing)
        return []

    async def look_into(self, at: DirectoryPlace, listing: Listing) -> list[DirectoryPlace]:
        """Tell what is meant, once; the directories in it."""
        if at.node.identity in self._looked:
            return folders_in(listing, at)
        self._looked.add(at.node.identity)
        self.places[at.node.identity] = at
        self.folders += 1
        self.oldest_s = max(self.oldest_s, self._age_s(at.node))
        entries: list[Entry] = []
        for name, child in listing.entries.items():
            if self._named(name):
                self._take(at.below(name), child, entries)
        await self._tell(entries)
        return folders_in(listing, at)

    async def recall(self, directory: Directory) -> Listing | None:
        """What is known, however old, as the drive shows it."""
        known = self._listings.known(directory)
        if known is None and await self._listings.recall(directory) is not None:
            known = self._listings.known(directory)
        return known

    def has_match(self, listing: Listing) -> bool:
        """Whether a listing has anything that is meant."""
        entries: list[Entry] = []
        for name, child in listing.entries.items():
            if self._named(name):
                self._take(name, child, entries)
            if entries:
                return True
        return False

    async def _now(self, at: DirectoryPlace, *, may_be_gone: bool = False) -> Listing | None:
        known = await self.recall(at.node)
        if known is not None and self._listings.fresh_for(at.node) > 0:
            return known
        try:
            if self._offline is None:
                return await self.ask(at.node)
        except (OfflineError, SignedOutError) as error:
            self._offline = error  # it concerns all that are left: it is told once
            await self.reports.failed(at.path, error)
        except DriveError as error:
            if may_be_gone and is_gone(error):
                return None
            await self.reports.failed(at.path, error)
            self.unknown += known is None
            return known
        self.unknown += known is None
        return known

    def _age_s(self, directory: Directory) -> float:
        valid_at = self._listings.cache.valid_at(directory.identity)
        if valid_at != NEVER:
            return max(0.0, trio.current_time() - valid_at)
        moment = self._listings.listed_at(directory)
        return (moment.age_s() if moment is not None else None) or 0.0

    def _take(self, path: str, node: Node, entries: list[Entry]) -> None:
        is_leaf = isinstance(node, File | Shortcut)
        if not self.criteria.takes_kind(is_directory=not is_leaf):
            return
        stat = self.drive.stat(node)
        size_bytes = stat.size_bytes if is_leaf else None
        if self.criteria.takes_details(size_bytes or 0, stat.mtime_ns):
            kind = "file" if isinstance(node, File) else KINDS.get(type(node), "root")
            entries.append(entry(path, kind, size_bytes, stat.mtime_ns))

    async def _tell(self, entries: Sequence[Entry]) -> None:
        self.found += len(entries)
        for start in range(0, len(entries), ENTRIES_AN_EVENT):
            await self.reports.tell("found", entries=entries[start : start + ENTRIES_AN_EVENT])
