"""The directories that are left: walked, or searched where that is cheaper.

A hit of the search only says where to look: its folder is listed, and what that shows is told. So
what was deleted or renamed since the index was made is never told, and a hit costs no call of its
own beside its folder's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import trio

from dmfs.aps.questions.search import Hits, Search
from dmfs.drive import Drive
from dmfs.errors import DriveError
from dmfs.jobs.find.homes import Homes
from dmfs.jobs.find.looking import Looking
from dmfs.jobs.find.narrowing import filters_of
from dmfs.jobs.find.ways import choose, folders_below, quotas_of, search_cost, walk_cost
from dmfs.jobs.reports import EVERYBODYS
from dmfs.jobs.tree import DirectoryPlace, Walk, folders_in
from dmfs.model import Folder, Listing
from dmfs.system.concurrency import bare_errors

ESTIMATE_MAX = 2000
"""Known folders that are looked at for an estimate: more than that are searched anyway."""


class Searching:
    """Sees to what ``Looking`` has left."""

    def __init__(self, drive: Drive, looking: Looking) -> None:
        self._drive = drive
        self._looking = looking
        self._listings = drive.parts.listings
        self._reports = looking.reports
        self._search = Search(drive.parts.aps.service)
        self._query = filters_of(looking.criteria)
        self._may: bool | None = None
        self._settled: set[str] = set()
        """Folders that a walk takes, whatever the search would cost."""
        self._to_search: list[DirectoryPlace] = []
        self._homes_of: dict[str, list[DirectoryPlace]] = {}
        self.searched = 0
        """Searches that were made."""

    async def run(self, left: Sequence[DirectoryPlace]) -> None:
        """Look into all of them and what lies below."""
        walk = Walk(await self._not_searched_together(left))
        await walk.run(lambda at: self._visit(at, walk))
        if self._to_search:
            await self._run_searches()

    async def _not_searched_together(self, left: Sequence[DirectoryPlace]) -> list[DirectoryPlace]:
        """Many folders below a known one may cost one search together."""
        tops = highest_folders(self._looking.places.values())
        groups: dict[DirectoryPlace | None, list[DirectoryPlace]] = {}
        for at in left:
            groups.setdefault(top_of(at, tops), []).append(at)
        others: list[DirectoryPlace] = []
        for top, below in groups.items():
            if top is not None and len(below) > 1 and await self._is_searched(below):
                self._to_search.append(top)
                self._homes_of[top.node.identity] = [
                    home for at in below for home in self._homes_of.get(at.node.identity, [])
                ]
            else:
                others += below
        return others

    async def _visit(self, at: DirectoryPlace, walk: Walk) -> Sequence[DirectoryPlace]:
        if await self._is_searched([at]):
            self._to_search.append(at)
            return []
        below = await self._looking.visit(at)
        await self._reports.progress(of="listing", done=self._looking.folders, known=walk.known)
        return below

    async def _run_searches(self) -> None:
        places = self._to_search
        with bare_errors():
            async with trio.open_nursery() as nursery:
                homes = Homes(self._drive, self._looking, self._search, nursery)
                found: list[DirectoryPlace] = []
                again: list[DirectoryPlace] = []

                async def one(at: DirectoryPlace) -> Sequence[DirectoryPlace]:
                    hits = await self._hits(at)
                    if hits is None or not hits.is_whole:
                        again.append(at)
                    if hits is not None:
                        found.extend(await homes.of(at, hits))
                    return []

                await Walk(places).run(one)
                nursery.cancel_scope.cancel()
        if self.searched:
            await self._reports.tell("note", message=_NOTE)
        await Walk(found).run(self._looking.visit_alone)
        await Walk(again).run(self._looking.visit)

    async def _hits(self, at: DirectoryPlace) -> Hits | None:
        """None where the search does not answer."""
        node = at.node
        assert isinstance(node, Folder)
        if self._may is False:
            return None
        try:
            hits = await self._reports.patiently(lambda: self._search.hits(node, self._query))
        except EVERYBODYS:
            raise
        except DriveError as error:
            await self._no_search(error.message)
            return None
        self.searched += 1
        if not hits.is_whole:
            message = f"the search has more hits in {at.path} than it tells: it is walked"
            await self._reports.tell("note", message=message)
        known = self._homes_of.get(node.identity, [])
        hits.folder_ids |= {place.node.id for place in known if isinstance(place.node, Folder)}
        return hits

    async def _no_search(self, why: str) -> None:
        """Told once."""
        if self._may is not False:
            self._may = False
            await self._reports.tell("note", message=f"{why}: the folders are walked instead")

    # Which way

    async def _is_searched(self, below: Sequence[DirectoryPlace]) -> bool:
        """Whether these folders are searched, at once."""
        if not self._query or self._looking.criteria.kind == "d" or self._may is False:
            return False
        folders, confirmed = 0, 0
        for at in below:
            node = at.node
            if (
                not isinstance(node, Folder)
                or node.is_local
                or node.identity in self._settled
                or self._listings.fresh_for(node) > 0
            ):
                return False
            more_folders, homes = await self._estimate(node, at)
            folders, confirmed = folders + more_folders, confirmed + homes
        walk, search = walk_cost(folders), search_cost(max(1, confirmed))
        quotas = quotas_of(use[:4] for use in await self._drive.parts.limiter.quotas())
        if choose(walk, search, quotas) == "walk":
            return False
        if self._may is None:
            await self._ask_rights()
        return self._may is True

    async def _ask_rights(self) -> None:
        try:
            self._may = await self._search.may(self._drive.settings.scopes)
        except DriveError:
            self._may = None  # a walk meets the same error, and tells it
            return
        if not self._may:
            self._may = None
            await self._no_search(_NO_SCOPE)

    async def _estimate(self, folder: Folder, at: DirectoryPlace) -> tuple[int, int]:
        """Folders that a walk would list, and known ones that hold what is meant. Of a folder that
        is not known, by the number of its entries; of one that is stale, by what was known of the
        folders below it."""
        known = await self._looking.recall(folder)
        if known is None:
            return folders_below(folder.object_count), 0
        count, homes = 0, []
        waiting = [at]
        seen: set[str] = set()
        while waiting and len(seen) < ESTIMATE_MAX:
            place = waiting.pop()
            node = place.node
            if node.identity in seen or not isinstance(node, Folder):
                continue
            seen.add(node.identity)
            listing = await self._looking.recall(node)
            if listing is None:
                count += folders_below(node.object_count)
                continue
            count += self._is_listed_again(listing)
            if self._looking.has_match(listing):
                homes.append(place)
            waiting += folders_in(listing, place)
        self._homes_of[folder.identity] = homes
        count = max(1, count)
        if choose(walk_cost(count), search_cost(max(1, len(homes))), {}) == "walk":
            self._settled |= seen  # decided for all of them
        return count, len(homes)

    def _is_listed_again(self, listing: Listing) -> bool:
        """Whether an unchanged rollup would not spare the call."""
        age_s = trio.current_time() - listing.listed_at
        return listing.rollup_ns is None or age_s > self._drive.settings.rollup_trust


def highest_folders(places: Iterable[DirectoryPlace]) -> dict[str, DirectoryPlace]:
    """By path, the folders that lie in no other of them."""
    found: dict[str, DirectoryPlace] = {}
    for place in sorted(places, key=lambda each: len(each.path)):
        if isinstance(place.node, Folder) and top_of(place, found) is None:
            found[place.path] = place
    return found


def top_of(at: DirectoryPlace, tops: Mapping[str, DirectoryPlace]) -> DirectoryPlace | None:
    """The one of them that a directory is in; None if it is in none."""
    path = at.path
    while path:
        if path in tops:
            return tops[path]
        path = path.rpartition("/")[0]
    return None


_NO_SCOPE = "the sign-in may not search (add data:search to `scopes`, then sign in again)"
_NOTE = (
    "the service's search was asked: it knows files alone, and what is newer than its index may be "
    "missing (-type d, or dmfs refresh -r, walks)"
)
