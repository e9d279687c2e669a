"""What is in each directory, and for how long that is believed. Floor 2.

One question answers readdir, lookup, attributes and authoritative absence. A listing is

- *fresh* for its ttl, and beyond it while an ancestor's newer listing shows the same rollup
  (``lastModifiedTimeRollup``) as before, for at most ``rollup_trust``;
- *stale* after that: one refresh for all who ask, waited for up to ``patience``, then the old one
  is served and the refresh goes on;
- kept when a refresh fails: failure never looks like absence.

A listing store that outlives the process has its place behind ``_known``.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

import cachetools
import trio

from dmfs.deadline import deadline
from dmfs.errors import AccessError, DriveError, SignedOutError
from dmfs.flight import Flight, Flights
from dmfs.model import Child, Directory, File, Folder, Hub, Listing, Project, Root
from dmfs.names import entry_names

log = logging.getLogger(__name__)

ENTRIES_KEPT = 300_000
"""Entries in memory, some 300 bytes each; the least recently listed directories go first."""
DENIAL_MEMORY_S = 10.0
"""A folder that may not be listed is not asked for again by every tool that passes by."""
RETRY_FIRST_S = 2.0
RETRY_MAX_S = 60.0
THREAD_NAMES = 1000
"""Entries from which names are made off the loop (about 10 µs each)."""
SIZE_CALLS = 8

Ask = Callable[[Directory], Awaitable[tuple[list[Child], tuple[str, ...]]]]
OnChange = Callable[[Listing, Listing], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """The rules, in seconds; see ``config.Settings`` for their reasons."""

    ttl: float = 60.0
    hub_ttl: float = 300.0
    patience: float = 1.0
    rollup_trust: float = 900.0

    def ttl_of(self, directory: Directory) -> float:
        return self.hub_ttl if isinstance(directory, Root | Hub) else self.ttl


@dataclass(slots=True, eq=False)
class _Known:
    listing: Listing
    rollups: dict[str, int | None] = field(repr=False)
    """Of the folders in it, by identity."""
    failures: int = 0
    retry_at: float = 0.0


class Listings:
    """All listings; ``get`` is the only step of the namespace that may touch the network."""

    def __init__(
        self,
        ask: Ask,
        learn_size: Callable[[File], Awaitable[None]],
        nursery: trio.Nursery,
        *,
        freshness: Freshness,
        timeout_s: float,
        service_folders: bool,
        on_change: OnChange | None = None,
    ) -> None:
        self._ask = ask
        self._learn_size = learn_size
        self._freshness = freshness
        self._timeout_s = timeout_s
        self._service_folders = service_folders
        self.on_change = on_change
        self._flights: Flights[str, Listing] = Flights(nursery)
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._entries = 0
        self._parents: dict[str, str] = {}
        self._denied: cachetools.TTLCache[str, AccessError] = cachetools.TTLCache(
            4096, DENIAL_MEMORY_S, timer=trio.current_time
        )

    async def get(self, directory: Directory) -> Listing:
        """The listing: fresh, or old after ``patience``, or the error of the first question."""
        identity = directory.identity
        known = self._known.get(identity)
        if known is None:
            denied = self._denied.get(identity)
            if denied is not None:
                raise denied.again()
            return await self._refresh(directory).wait()
        self._known.move_to_end(identity)
        if self.fresh_for(directory) > 0 or trio.current_time() < known.retry_at:
            return known.listing
        flight = self._refresh(directory)
        try:
            with trio.move_on_after(self._freshness.patience):
                return await flight.wait()
        except DriveError:
            pass  # told once, where it happened; what was true a while ago is better than nothing
        return known.listing

    def known(self, directory: Directory) -> Listing | None:
        """What is known of a directory, fresh or not; never asks."""
        known = self._known.get(directory.identity)
        return None if known is None else known.listing

    def fresh_for(self, directory: Directory) -> float:
        """Seconds for which the known listing is still believed (0 or less: stale or unknown)."""
        age_s = trio.current_time() - self._true_at(directory.identity, depth=32)
        return self._freshness.ttl_of(directory) - age_s

    def _true_at(self, identity: str, depth: int) -> float:
        """When the listing was last known to be true: as listed, or as an ancestor vouches for it.

        The rollup was read before the listing was asked for; if the parent, listed later, still
        shows it, nothing below changed in between.
        """
        known = self._known.get(identity)
        if known is None:
            return float("-inf")
        true_at = known.listing.listed_at
        parent = self._parents.get(identity)
        above = self._known.get(parent) if parent is not None else None
        rollup_ns = known.listing.rollup_ns
        if above is None or parent is None or rollup_ns is None or depth == 0:
            return true_at
        if above.rollups.get(identity) != rollup_ns:
            return true_at
        vouched = min(self._true_at(parent, depth - 1), true_at + self._freshness.rollup_trust)
        return max(true_at, vouched)

    def _refresh(self, directory: Directory) -> Flight[Listing]:
        return self._flights.join(directory.identity, partial(self._fetch, directory))

    async def _fetch(self, directory: Directory) -> Listing:
        """Ask the service and keep the answer; a failure leaves the old listing in place."""
        identity = directory.identity
        asked_at = trio.current_time()
        rollup_ns = self._rollup(directory)
        try:
            with deadline(self._timeout_s, f"list {directory.name or '/'!r}"):
                children, warnings = await self._ask(directory)
                entries = await self._entries_of(children)
                await self._learn_sizes(entries)
        except DriveError as error:
            self._failed(identity, error)
            raise
        listing = Listing(directory, entries, asked_at, rollup_ns, warnings)
        self._keep(identity, listing)
        return listing

    def _rollup(self, directory: Directory) -> int | None:
        if not isinstance(directory, Folder):
            return None
        above = self._known.get(self._parents.get(directory.identity, ""))
        told = above.rollups.get(directory.identity) if above is not None else None
        return told if told is not None else directory.rollup_ns

    async def _entries_of(self, children: list[Child]) -> dict[str, Child]:
        shown = [child for child in children if self._shown(child)]
        if len(shown) > THREAD_NAMES:
            return await trio.to_thread.run_sync(entry_names, shown)
        return entry_names(shown)

    def _shown(self, child: Child) -> bool:
        return self._service_folders or not (isinstance(child, Folder) and child.service)

    async def _learn_sizes(self, entries: dict[str, Child]) -> None:
        """Ask the storage for sizes that the listing left out: never guess one."""
        files = [
            node for node in entries.values() if isinstance(node, File) and node.size_bytes is None
        ]
        slots = trio.CapacityLimiter(SIZE_CALLS)

        async def one(file: File) -> None:
            async with slots:
                await self._learn_size(file)

        async with trio.open_nursery() as nursery:
            for file in files:
                nursery.start_soon(one, file)

    def _failed(self, identity: str, error: DriveError) -> None:
        known = self._known.get(identity)
        if known is None:
            if isinstance(error, AccessError) and not isinstance(error, SignedOutError):
                self._denied[identity] = error
            return
        known.failures += 1
        wait_s = min(RETRY_FIRST_S * 2 ** (known.failures - 1), RETRY_MAX_S)
        known.retry_at = trio.current_time() + wait_s
        level = logging.WARNING if known.failures == 1 else logging.DEBUG
        log.log(level, "%s; serving what was listed before", error.message)

    def _keep(self, identity: str, listing: Listing) -> None:
        rollups: dict[str, int | None] = {}
        for child in listing.entries.values():
            if isinstance(child, Hub | Project | Folder):
                rollups[child.identity] = child.rollup_ns if isinstance(child, Folder) else None
                self._parents[child.identity] = identity
        old = self._known.pop(identity, None)
        self._known[identity] = _Known(listing, rollups)
        self._entries += len(listing.entries) - (len(old.listing.entries) if old else 0)
        while self._entries > ENTRIES_KEPT and len(self._known) > 1:
            _, dropped = self._known.popitem(last=False)
            self._entries -= len(dropped.listing.entries)
            for child_identity in dropped.rollups:
                self._parents.pop(child_identity, None)
        if old is not None and self.on_change is not None:
            self.on_change(old.listing, listing)
