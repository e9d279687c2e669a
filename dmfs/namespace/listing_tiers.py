"""Listings in two tiers: memory, and behind it the disk that all processes of a user share."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, nullcontext
from functools import partial

import trio

from dmfs.model import Directory, Listing
from dmfs.namespace.change_feed import ChangeFeed, changed_names
from dmfs.namespace.directory_query import THREAD_ENTRIES
from dmfs.namespace.listing_cache import (
    INCOMPLETE_FIRST_S,
    NEVER,
    CachedListing,
    Freshness,
    ListingCache,
)
from dmfs.namespace.listing_codec import Record
from dmfs.namespace.listing_store import ListingStore
from dmfs.system.clock import Moment
from dmfs.system.concurrency import SingleFlight, computed

log = logging.getLogger(__name__)


class ListingTiers:
    """Stores listings in both tiers, and publishes what a newer listing changes."""

    def __init__(
        self, freshness: Freshness, nursery: trio.Nursery, store: ListingStore | None
    ) -> None:
        """``store`` is None without a cache directory."""
        self.memory = ListingCache(freshness)
        self.changes = ChangeFeed()
        self._nursery = nursery
        self._store = store
        self._recalls: SingleFlight[str, CachedListing | None] = SingleFlight(nursery)
        self.recalled = 0
        """Listings read from disk on first use."""
        self.shared = 0
        """Answers taken over from another process instead of a request."""

    async def put(self, listing: Listing, moment: Moment, parent: str = "") -> CachedListing:
        """Store in memory, then publish the names that changed. ``parent``: its identity, if the
        parent's listing may be unknown."""
        old = self.memory.get(listing.directory.identity)
        names: Sequence[str] = ()
        if old is not None and self.changes.has_subscribers:
            before, after = old.listing.entries, listing.entries
            if len(before) + len(after) > THREAD_ENTRIES:
                names = await computed(partial(changed_names, before, after))
            else:
                names = changed_names(before, after)
        cached = self.memory.put(listing, moment, parent)
        if names:
            self.changes.publish(listing.directory, names)
        return cached

    async def recall(self, directory: Directory) -> CachedListing | None:
        """Read the listing from disk into memory, however old; callers for one directory share
        the read."""
        if self._store is None:
            return None
        load = partial(self._recall, self._store, directory)
        return await self._recalls.join(directory.identity, load).wait()

    async def _recall(self, store: ListingStore, directory: Directory) -> CachedListing | None:
        record = await store.load(directory.identity)
        cached = self.memory.get(directory.identity)
        if cached is not None or record is None:
            return cached
        self.recalled += 1
        return await self._put_record(directory, record)

    def lock(self, identity: str) -> AbstractAsyncContextManager[None]:
        """Lock a directory: one process sends the request, the others wait for its answer."""
        return nullcontext() if self._store is None else self._store.lock(identity)

    async def take_shared(self, directory: Directory, max_age_s: float) -> Listing | None:
        """The listing that another process requested meanwhile, if it is newer than the one in
        memory and at most ``max_age_s`` old."""
        if self._store is None:
            return None
        record = await self._store.load(directory.identity)
        age_s = record.moment.age_s() if record is not None else None
        if record is None or age_s is None or age_s >= max_age_s:
            return None
        if record.undescribed + record.lost and age_s >= INCOMPLETE_FIRST_S:
            return None
        cached = self.memory.get(directory.identity)
        if cached is not None and (
            record.moment == cached.moment or trio.current_time() - age_s <= cached.listed_at
        ):
            return None
        rollup_ns = self.memory.rollup(directory)
        if rollup_ns is not None and record.rollup_ns != rollup_ns:
            return None  # something changed since
        self.shared += 1
        return (await self._put_record(directory, record)).listing

    async def _put_record(self, directory: Directory, record: Record) -> CachedListing:
        age_s = record.moment.age_s()
        listed_at = NEVER if age_s is None else trio.current_time() - age_s
        listing = Listing(
            directory, record.entries, listed_at, record.rollup_ns, record.undescribed, record.lost
        )
        return await self.put(listing, record.moment, record.parent)

    def save(self, listing: Listing, moment: Moment, lock: AsyncExitStack) -> None:
        """Write to disk in the background, then release ``lock``. Returns at once."""
        if self._store is not None:
            self._nursery.start_soon(self._save, self._store, listing, moment, lock)

    async def _save(
        self, store: ListingStore, listing: Listing, moment: Moment, lock: AsyncExitStack
    ) -> None:
        record = Record(
            moment=moment,
            directory=listing.directory,
            parent=self.memory.parent_identity(listing.directory.identity),
            rollup_ns=listing.rollup_ns,
            entries=listing.entries,
            undescribed=listing.undescribed,
            lost=listing.lost,
        )
        # shielded: a drive that shuts down saves what it requested
        with trio.CancelScope(shield=True):
            async with lock:
                try:
                    await store.save(record)
                except Exception:
                    log.exception("a listing is not kept on disk")

    async def forget(self, identity: str) -> None:
        """Remove a listing from both tiers."""
        self.memory.drop(identity)
        if self._store is not None:
            await self._store.forget(identity)
