"""The listings of what is pinned and of what is above it: recalled, listed, seen to be out of date.

A complete and unchanged pin costs no call: the poller's call for the project shows by its rollups
whether anything below changed, and only what shows a change is listed anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection

import trio

from dmfs.errors import DriveError
from dmfs.model import Directory, File, Folder, Listing
from dmfs.namespace.listing_cache import NEVER
from dmfs.namespace.listing_store import ListingStore
from dmfs.namespace.listings import Listings
from dmfs.pins.pin_plan import Survey, survey
from dmfs.pins.records import Pin, directories_of
from dmfs.pins.retries import Retries
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.system.concurrency import bare_errors

LISTINGS_AT_ONCE = 4
INCOMPLETE_FIRST_S, INCOMPLETE_MAX_S = 30.0, 1800.0
"""A listing of which the service did not describe everything is listed anew after so long, twice as
long each time: some items are never described."""
UNTOLD_S = 1800.0
"""Directories whose rollup nothing tells (the service, or a listing above) are listed anew after so
long."""


class PinnedListings:
    """Of the pins of one sign-in."""

    def __init__(
        self,
        listings: Listings,
        store: ListingStore | None,
        is_offline: Callable[[], bool],
        retries: Retries,
    ) -> None:
        self._listings = listings
        self._store = store
        self._is_offline = is_offline
        self.retries = retries
        self.errors: dict[str, str] = {}
        """Of directories that cannot be listed, by identity."""
        self._seen: dict[str, tuple[Directory, Listing | None]] = {}
        """At the last pass."""
        self._looked: dict[str, Listing] = {}
        """What this pass saw of each, the first time that it looked: what is listed after that is
        news, also while the pass still goes on. (It was forgotten then, for 300 s.)"""
        self._listed: frozenset[str] = frozenset()
        self._rounds: dict[str, int] = {}
        """How often incomplete listings were listed anew."""
        self._incomplete_until = math.inf
        self.outdated: set[str] = set()
        """Directories that this pass would list anew, and could not."""

    def remember(self, pins: Collection[Pin], found: Survey) -> None:
        """A pass saw these."""
        directories = {each.identity: each for each in directories_of(pins)} | found.directories
        before = {key: listing for key, (_, listing) in self._seen.items()}
        looked = before | self._looked
        self._seen = {key: (each, looked.get(key)) for key, each in directories.items()}
        incomplete = {
            key: listing.listed_at
            for key, (each, listing) in self._seen.items()
            if listing is not None and listing is self._known(each) and listing.incomplete
            and isinstance(each, Folder)
            and self.retries.may_try(key)
        }  # fmt: skip
        self._rounds = {key: self._rounds.get(key, 0) for key in incomplete}
        ends = (at + self._incomplete_s(key) for key, at in incomplete.items())
        self._incomplete_until = min(ends, default=math.inf)

    def is_changed(self) -> bool:
        """Whether one of them was listed anew since."""
        known = ((self._known(each), before) for each, before in self._seen.values())
        return any(now is not None and now is not before for now, before in known)

    def _known(self, directory: Directory) -> Listing | None:
        cached = self._listings.cache.get(directory.identity)
        return None if cached is None else cached.listing

    def of(self, directory: Directory) -> Listing | None:
        """As it was listed, also where it is not in memory just now."""
        return self._known(directory) or self._seen.get(directory.identity, (None, None))[1]

    def look(self, directory: Directory) -> Listing | None:
        """``of``, for this pass's survey."""
        return self._look(directory, self.of(directory))

    def _look(self, directory: Directory, listing: Listing | None) -> Listing | None:
        if listing is not None:
            self._looked.setdefault(directory.identity, listing)
        return listing

    async def recall(self, pins: Collection[Pin]) -> None:
        """What is known on disk, from the top down; it costs no call."""
        listings = self._listings
        for directory in directories_of(pins):
            await listings.recall(directory)
        waiting = [pin.top for pin in pins if not isinstance(pin.node, File)]
        seen = {each.identity for each in waiting}
        while waiting:
            listing = await listings.recall(waiting.pop())
            for child in () if listing is None else listing.entries.values():
                if isinstance(child, Folder) and child.identity not in seen:
                    seen.add(child.identity)
                    waiting.append(child)

    async def refresh_changed(self, pins: Collection[Pin]) -> None:
        """List anew where a rollup above shows a change, from the top down."""
        cache, waiting = self._listings.cache, [*directories_of(pins)]
        below = {pin.top.identity for pin in pins if not isinstance(pin.node, File)}
        seen: set[str] = set()
        self.outdated.clear()
        self._looked.clear()
        while waiting:
            directory = waiting.pop(0)
            if directory.identity in seen:
                continue
            seen.add(directory.identity)
            if isinstance(directory, Folder) and self._is_outdated(directory):
                self.outdated.add(directory.identity)
                await self._renew(cache.directory(directory.identity) or directory)
            listing = self._look(directory, self._known(directory))
            if listing is not None and directory.identity in below:
                children = [each for each in listing.entries.values() if isinstance(each, Folder)]
                below |= {each.identity for each in children}
                waiting += children

    def _is_outdated(self, directory: Folder) -> bool:
        cache = self._listings.cache
        cached = cache.get(directory.identity)
        if cached is None:
            return False
        if cached.listing.incomplete:
            above, shown_ns = cache.parent(directory.identity), cache.rollup(directory)
            changed = shown_ns is not None and shown_ns != cached.listing.rollup_ns
            if above is not None and changed and above.listed_at > cached.listed_at:
                return True
            return trio.current_time() - cached.listed_at > self._incomplete_s(directory.identity)
        if cached.listing.rollup_ns is None or cache.parent(directory.identity) is None:
            return trio.current_time() - cached.listed_at > UNTOLD_S
        return cache.valid_at(directory.identity) == NEVER

    def _incomplete_s(self, identity: str) -> float:
        return float(min(INCOMPLETE_FIRST_S * 2 ** self._rounds.get(identity, 0), INCOMPLETE_MAX_S))

    def is_due(self) -> bool:
        """Whether an incomplete listing is to be listed anew."""
        return not self._is_offline() and trio.current_time() > self._incomplete_until

    async def _renew(self, directory: Directory) -> None:
        if not self.retries.may_try(directory.identity) or self._is_offline():
            return
        try:
            with at_priority(RequestPriority(Priority.POLL)):
                await self._listings.renew(directory)
        except DriveError as error:
            self.retries.failed(directory.identity, error)
            self.errors[directory.identity] = error.message
        else:
            self._worked(directory.identity)
            self._rounds[directory.identity] = self._rounds.get(directory.identity, 0) + 1

    async def list_unknown(self, found: Survey, pins: Collection[Pin]) -> Survey:
        """List what was never listed, level by level."""
        while not self._is_offline():
            unknown = [
                found.directories[each]
                for each in found.unknown
                if self.of(found.directories[each]) is None and self.retries.may_try(each)
            ]
            if not unknown:
                break
            slots = trio.CapacityLimiter(LISTINGS_AT_ONCE)
            with bare_errors():
                async with trio.open_nursery() as nursery:
                    for directory in unknown:
                        nursery.start_soon(self._list, directory, slots)
            found = survey(pins, self.look)
        return found

    async def _list(self, directory: Directory, slots: trio.CapacityLimiter) -> None:
        async with slots:
            try:
                with at_priority(RequestPriority(Priority.AHEAD)):
                    await self._listings.get(directory)
            except DriveError as error:
                self.retries.failed(directory.identity, error)
                self.errors[directory.identity] = error.message
            else:
                self._worked(directory.identity)

    async def keep(self, pins: Collection[Pin], found: Survey) -> None:
        """Out of reach of the limit of all listings: those of what is pinned, and above it."""
        store = self._store
        identities = {each.identity for each in directories_of(pins)} | set(found.directories)
        now = {each: id(self._listings.cache.get(each)) for each in identities}
        listed = frozenset(f"{each} {number}" for each, number in now.items())
        if store is not None and listed != self._listed:
            self._listed = listed
            await store.keep(identities)

    def waiting(self, found: Survey) -> set[str]:
        """Directories of which it is known that something about them is not known. What failed of
        others is forgotten: they are fine again."""
        unlisted = {each for each in found.unknown if self.of(found.directories[each]) is None}
        waiting = unlisted | self.outdated
        self.errors = {key: error for key, error in self.errors.items() if key in waiting}
        return waiting

    def _worked(self, identity: str) -> None:
        self.outdated.discard(identity)
        self.retries.worked(identity)
        self.errors.pop(identity, None)
