"""Views: directories made of what is listed, as ``Listings`` gives them out, and names that are
answered and never listed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Protocol

import trio

from dmfs.errors import (
    AccessError,
    BadResponseError,
    BusyError,
    GoneError,
    SpeculationDropped,
    UnreachableError,
)
from dmfs.grammar.moments import SECOND_NS, midnights_ns, snapshot_name, snapshot_ns
from dmfs.grammar.version_names import meanings_of, number_of_cut, version_name
from dmfs.model import (
    HISTORIES,
    SNAPSHOTS,
    Child,
    Directory,
    File,
    Folder,
    Histories,
    History,
    Leaf,
    Listing,
    LiveDirectory,
    OldVersion,
    Past,
    Project,
    Snapshots,
    VersionList,
    View,
    WithDeleted,
    WrittenFile,
    as_old,
)
from dmfs.names import printable
from dmfs.namespace.directory_query import THREAD_ENTRIES
from dmfs.namespace.views.folded import FoldedNames, Folds
from dmfs.namespace.views.markers import CASELESS, MARKERS, marker
from dmfs.namespace.views.past import changed_since, past_entries, refused_in
from dmfs.namespace.views.versions import (
    histories,
    history_of,
    newest,
    numbered,
    tip_of,
    version_entries,
)
from dmfs.ratelimit.limits import WINDOW_S, Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.system.clock import iso_time, wall_time_ns
from dmfs.system.concurrency import computed, gather

LISTS_AT_ONCE = 12
"""Version lists of one directory under way; 800 a minute are allowed."""
SNAPSHOT_DAYS = 30
REFUSED_FOR_S = 60.0
HINT_GONE = "the service does not tell what was there then"


Get = Callable[[Directory], Awaitable[Listing | None]]
"""A listing, or None where it would cost a call."""


class Lists(Protocol):
    """Of ``Listings``, what views are made of."""

    async def get(self, directory: Directory) -> Listing: ...

    async def since(self, source: WithDeleted, at_s: float) -> Listing: ...

    async def recall(self, directory: Directory) -> Listing | None: ...

    def known(self, directory: Directory) -> Listing | None: ...

    async def keep(self, listing: Listing) -> None: ...


class Views:
    """All views of one drive."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists
        self.written_to = False
        """Whether a file of the drive may become another one: then old versions are nodes of their
        own."""
        self.snapshots_of = ""
        """The identity of the directory in which ``.snapshots`` is answered; '' for none."""
        self.markers_of = ""
        """The same of ``MARKERS``."""
        self.folds: Folds | None = None
        """Where names of another case mean the listed ones."""

    async def get(self, view: View) -> Listing:
        """All entries. DriveError if what it is made of cannot be had."""
        match view:
            case Histories():
                listing = await self._lists.get(view.of)
                return _view(view, histories(listing), listing)
            case Snapshots():
                return self.snapshots(view)
            case History():
                versions = await self._lists.get(VersionList(view.tip))
                return await self._stored(self._history(view, versions))
            case Past():
                return await self._past(view)

    async def ahead(self, view: View, wanted: Callable[[], bool]) -> None:
        """List speculatively what is not known yet. SpeculationDropped once ``wanted()`` is
        False."""
        if self._lists.known(view) is None:
            with at_priority(RequestPriority(Priority.AHEAD, wanted)):
                await self.get(view)

    async def recall(self, view: View) -> Listing | None:
        """As ``get``, of what is known without a call; None if that does not suffice."""
        match view:
            case Histories():
                listing = await self._lists.recall(view.of)
                return None if listing is None else _view(view, histories(listing), listing)
            case Snapshots():
                return self.snapshots(view)
            case History():
                versions = await self._lists.recall(VersionList(view.tip))
                return None if versions is None else self._history(view, versions)
            case Past():
                return self._lists.known(view)

    def made_now(self, view: View) -> Listing | None:
        """Of those that are not kept: what they are now, as far as is known. Never waits."""
        if isinstance(view, Snapshots):
            return self.snapshots(view)
        if isinstance(view, Histories):
            listing = self._lists.known(view.of)
            return None if listing is None else _view(view, histories(listing), listing)
        return None

    @staticmethod
    def snapshots(view: Snapshots) -> Listing:
        """The last midnights."""
        moments = midnights_ns(wall_time_ns(), SNAPSHOT_DAYS)
        entries: dict[str, Child] = {snapshot_name(each): Past(view.of, each) for each in moments}
        return Listing(view, dict(sorted(entries.items())), trio.current_time())

    def _history(self, view: History, versions: Listing) -> Listing:
        entries = version_entries(view, versions.entries.values())
        return _view(view, {name: self._old(each) for name, each in entries.items()}, versions)

    def _old(self, file: File) -> File:
        return as_old(file) if self.written_to and not isinstance(file, OldVersion) else file

    async def _stored(self, listing: Listing) -> Listing:
        await self._lists.keep(listing)
        return listing

    # Names

    async def child(
        self, directory: Directory, name: str, *, without_call: bool = False
    ) -> Child | None:
        """What is answered under a name that the listing of its directory does not have: a version,
        a view, a marker, or what has this name in another case."""
        get: Get = self._lists.recall if without_call else self._lists.get
        found = await self._unlisted(directory, name, get)
        if found is not None or self.folds is None:
            return found
        listing = await get(directory)
        if listing is None:
            return None
        folded = await self._folded(listing, self.folds)
        if name == CASELESS:
            return marker(directory.identity, name) if folded.differ else None
        listed = folded.listed(name)
        return None if listed is None else listing.entries.get(listed)

    @staticmethod
    async def _folded(listing: Listing, folds: Folds) -> FoldedNames:
        folded = folds.peek(listing)
        if folded is None:
            work = partial(FoldedNames, listing.names)
            folded = await computed(work) if len(listing.names) > THREAD_ENTRIES else work()
            folds.put(listing, folded)
        return folded

    async def _unlisted(self, directory: Directory, name: str, get: Get) -> Child | None:
        if name in MARKERS and self.markers_of and directory.identity == self.markers_of:
            return marker(directory.identity, name)
        if name == SNAPSHOTS and self.snapshots_of and directory.identity == self.snapshots_of:
            return Snapshots(directory) if isinstance(directory, LiveDirectory) else None
        match directory:
            case Histories():
                listing = await get(directory.of)
                child = None if listing is None else listing.entries.get(name)
                _check_described(child)
                return history_of(name, child)
            case Snapshots():
                at_ns = snapshot_ns(name, wall_time_ns())
                return None if at_ns is None else Past(directory.of, at_ns)
            case Project() | Folder():
                if name == HISTORIES and not (isinstance(directory, Folder) and directory.is_local):
                    return Histories(directory)
                return await self._version(directory, name, get)
            case _:
                return None

    async def _version(self, directory: Project | Folder, name: str, get: Get) -> File | None:
        listing = await get(directory) if "@" in name else None
        if listing is None:
            return None
        for each in meanings_of(name, wall_time_ns()):
            child = listing.entries.get(each.base)
            _check_described(child)
            if tip_of(child) is None:
                continue
            if each.number is not None:
                return await self._numbered(child, each.number, get)
            assert each.until_ns is not None
            return await self._until(child, each.until_ns, get)
        number = number_of_cut(name)
        for base, child in listing.entries.items() if number is not None else ():
            if number is not None and tip_of(child) and version_name(base, number) == name:
                return await self._numbered(child, number, get)
        return None

    async def _numbered(self, child: Child | None, number: int, get: Get) -> File | None:
        """No call for a number that the item cannot have."""
        tip = tip_of(child)
        newest_number = 0 if tip is None else tip.version_number or 0
        if tip is None or number > newest_number:
            return None
        if number == newest_number and child is tip:
            return self._old(tip) if tip.storage_id else None
        versions = await get(VersionList(tip))
        found = None if versions is None else numbered(versions.entries.values(), number)
        return None if found is None else self._old(found)

    async def _until(self, child: Child | None, until_ns: int, get: Get) -> File | None:
        """What was written here shows a time of this machine's: there the service's list is asked
        for the tip as well."""
        tip = tip_of(child)
        if tip is None or (tip.created_ns is not None and tip.created_ns > until_ns):
            return None
        if tip.mtime_ns <= until_ns and child is tip:
            return self._old(tip) if tip.storage_id else None
        versions = await get(VersionList(tip))
        found = None if versions is None else newest(versions.entries.values(), until_ns)
        return self._old(found) if isinstance(found, File) and found.storage_id else None

    # The past

    async def _past(self, view: Past) -> Listing:
        of = view.of
        known = self._lists.known(view)
        if known is not None and _is_final(known):
            return known
        if not isinstance(of, Project | Folder):
            now = await self._lists.get(of)
            listing = _view(view, past_entries(view, now.entries.values(), {}), now)
            return listing if listing.incomplete else await self._stored(listing)
        try:
            source = await self._lists.since(WithDeleted(of), view.at_ns / SECOND_NS)
            contents = [*source.entries.values()]
            then = await self._then(view, changed_since(contents, view.at_ns))
        except GoneError as error:  # what shows, and is gone when it is asked for, is no absence
            raise BadResponseError(error.message, hint=HINT_GONE) from None
        except UnreachableError:
            if known is None:
                raise
            return known  # some of it was refused, and the rest does not change
        work = partial(past_entries, view, contents, then)
        entries = await computed(work) if len(contents) > THREAD_ENTRIES else work()
        if self.written_to:
            entries = {
                name: self._old(each) if isinstance(each, File) else each
                for name, each in entries.items()
            }
        listing = replace(_view(view, entries, source), undescribed=refused_in(contents))
        return await self._stored(listing)

    async def _then(self, view: Past, leaves: Sequence[Leaf]) -> Mapping[str, Leaf | None]:
        """What each item was, by its id. One version list each, which are kept: where the rate ends
        it, the next try goes on from there."""
        slots = trio.CapacityLimiter(LISTS_AT_ONCE)
        found: dict[str, Leaf | None] = {}

        async def one(leaf: Leaf) -> None:
            async with slots:
                listing = await self._lists.get(VersionList(leaf))
                found[leaf.item_id] = newest(listing.entries.values(), view.at_ns)

        try:
            await gather([partial(one, leaf) for leaf in leaves])
        except SpeculationDropped:
            raise
        except BusyError as error:
            raise _come_back(view, len(found), len(leaves), error) from None
        return found


def _come_back(view: Past, count: int, expected: int, error: BusyError) -> BusyError:
    wait_s = error.retry_after_s or WINDOW_S
    found = BusyError(
        f"cannot list {view.name!r} as it was at {iso_time(view.at_ns)} yet: the versions of"
        f" {count} of {expected} changed files are here, and the rate limit asks to wait"
        f" {wait_s:.0f} s",
        hint=f"come back in {wait_s:.0f} s: only what is missing will be requested",
    )
    found.status, found.retry_after_s = error.status, wait_s
    return found


def _is_final(past: Listing) -> bool:
    """Not for ever, where details of an item were refused: whoever gets the right sees it then."""
    return not past.incomplete or trio.current_time() - past.listed_at < REFUSED_FOR_S


def maybe_lost(directory: Directory, name: str) -> BadResponseError:
    """What to say of a name that is not there, and may be one of those that are lost."""
    return BadResponseError(
        f"cannot tell whether there is a {printable(name)!r} in {directory.name!r}",
        hint="the service's answer holds entries without a name; it is asked again soon",
    )


def _check_described(child: Child | None) -> None:
    """AccessError for an item whose details the service did not give: it may have versions."""
    if isinstance(child, File) and not child.version and not isinstance(child, WrittenFile):
        raise AccessError(
            f"cannot tell the versions of {printable(child.name)!r}: its details did not come"
        )


def _view(view: View, entries: Mapping[str, Child], made_of: Listing) -> Listing:
    return Listing(
        view, entries, made_of.listed_at, undescribed=made_of.undescribed, lost=made_of.lost
    )


__all__ = ["Views", "maybe_lost"]
