"""What is in each directory: asked once, remembered, shared. Floor 2.

One question answers readdir, lookup, attributes and authoritative absence. A listing is

- *fresh* as ``knowledge`` has it;
- *stale* after that: one refresh for all who ask, waited for up to ``patience``, then the old one
  is served and the refresh goes on;
- kept when a refresh fails: failure never looks like absence. Only an answer that says so takes a
  directory away, and only while the service still answers for the directory above it.

Behind memory lies the disk (``kept``), read when a directory is first needed, shared by all
processes: who asks the service holds a lock meanwhile, and the others find the answer.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial

import cachetools
import trio

from dmfs.errors import (
    AccessError,
    BusyError,
    DeadlineError,
    DriveError,
    GoneError,
    OfflineError,
    SignedOutError,
    SpeculationDropped,
)
from dmfs.model import Child, Directory, File, Folder, Listing
from dmfs.names import entry_names
from dmfs.namespace.listing_cache import CachedListing, Freshness, ListingCache, changed_names
from dmfs.namespace.listing_codec import Record
from dmfs.namespace.listing_store import ListingStore
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority, current_priority
from dmfs.system.clock import Moment
from dmfs.system.concurrency import Flight, SingleFlight, deadline

log = logging.getLogger(__name__)

DENIAL_MEMORY_S = 30.0
"""A folder that may not be listed is not asked for again by every tool that passes by, nor by a
walker that comes to it some time after walk-ahead did."""
RETRY_FIRST_S = 2.0
RETRY_MAX_S = 60.0
THREAD_ENTRIES = 1000
"""Entries from which a listing is worked on off the loop: names take about 10 µs each."""
SIZE_CALLS = 8
JOINS = 3
"""Somebody may join speculation just as it gives way; then the question is put anew."""
POLL_BELIEVES_S = 15.0
"""A poll takes another process's answer that is no older: half of the shortest interval."""

Ask = Callable[[Directory], Awaitable[tuple[list[Child], tuple[str, ...]]]]
OnChange = Callable[[Directory, Sequence[str]], None]
"""A directory, and the names in it that mean something else than before."""


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
        kept: ListingStore | None = None,
        offline: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ask = ask
        self._learn_size = learn_size
        self._nursery = nursery
        self._freshness = freshness
        self._timeout_s = timeout_s
        self._service_folders = service_folders
        self.on_change = on_change
        self._kept = kept
        self._offline = offline
        self.knowledge = ListingCache(freshness)
        self._flights: SingleFlight[str, Listing] = SingleFlight(nursery)
        self._recalls: SingleFlight[str, CachedListing | None] = SingleFlight(nursery)
        self._urgencies: dict[str, RequestPriority] = {}
        self._denied: cachetools.TTLCache[str, DriveError] = cachetools.TTLCache(
            4096, DENIAL_MEMORY_S, timer=trio.current_time
        )

    def subscribe(self, on_change: OnChange) -> None:
        """Call ``on_change`` at each change."""
        self.on_change = on_change

    async def get(self, directory: Directory) -> Listing:
        """The listing: fresh, or old after ``patience``, or the error of the first question."""
        identity = directory.identity
        known = self.knowledge.use(identity) or await self._recall(directory)
        # once more: on a busy machine it was listed for another between the recall's end and now
        known = known or self.knowledge.use(identity)
        if known is None:
            self._refuse_denied(identity)
            return await self._refreshed(directory)
        waits = trio.current_time() < known.retry_at or self._offline()
        if waits or self.fresh_for(directory) > 0:
            return known.listing
        try:
            with trio.move_on_after(self._freshness.patience):
                return await self._refreshed(directory)
        except DriveError:
            # told once, where it happened; what was true a while ago is better than nothing
            self._refuse_denied(identity)
        return known.listing

    async def renew(self, directory: Directory) -> Listing:
        """A listing of now, whatever is known; no patience."""
        return await self._refreshed(directory, POLL_BELIEVES_S)

    async def ahead(self, directory: Directory, wanted: Callable[[], bool]) -> None:
        """List it before anybody asks; SpeculationDropped when ``wanted`` no longer holds."""
        if self.knowledge.get(directory.identity) is None:
            await self._recall(directory)
        if self.fresh_for(directory) <= 0 and not self._offline():
            asker = RequestPriority(Priority.AHEAD, wanted)
            await self._refresh(directory, asker, self._freshness.ttl_of(directory)).wait()

    def known(self, directory: Directory) -> Listing | None:
        """What is known of a directory, fresh or not; never asks."""
        known = self.knowledge.get(directory.identity)
        return None if known is None else known.listing

    def fresh_for(self, directory: Directory) -> float:
        """Seconds for which the known listing is still believed (0 or less: stale or unknown)."""
        return self.knowledge.fresh_for(directory, trio.current_time())

    def listed_at(self, directory: Directory) -> Moment | None:
        """When the known listing was true, by the wall clock."""
        known = self.knowledge.get(directory.identity)
        return None if known is None else known.moment

    def on_suspend(self, seconds: float) -> None:
        """The machine was suspended for so long."""
        self.knowledge.on_suspend(seconds)

    # Asking

    async def _refreshed(self, directory: Directory, believe_s: float | None = None) -> Listing:
        level = current_priority().level
        if believe_s is None:
            believe_s = self._freshness.ttl_of(directory)
        for _ in range(JOINS):
            try:
                return await self._refresh(directory, RequestPriority(level), believe_s).wait()
            except SpeculationDropped:
                continue
        raise BusyError(f"cannot list {directory.name!r}: asked for in vain {JOINS} times")

    def _refresh(
        self, directory: Directory, asker: RequestPriority, believe_s: float
    ) -> Flight[Listing]:
        identity = directory.identity
        under_way = self._urgencies.get(identity)
        if under_way is None:
            # Now, not when the work begins: who joins in between found nothing to raise, and
            # waited at speculation's pace, 29 s under the published limit.
            self._urgencies[identity] = asker
        else:
            under_way.raise_to(asker.level)
            asker = under_way
        with at_priority(asker):
            return self._flights.join(identity, partial(self._fly, directory, asker, believe_s))

    async def _fly(self, directory: Directory, asker: RequestPriority, believe_s: float) -> Listing:
        identity = directory.identity
        speculative = asker.level >= Priority.AHEAD
        try:
            return await self._fetch(directory, believe_s)
        except (DeadlineError, BusyError) as error:
            if speculative:  # its time may have passed in the queue, before anybody waited
                raise SpeculationDropped(error.message) from None
            raise
        finally:
            del self._urgencies[identity]

    async def _fetch(self, directory: Directory, believe_s: float) -> Listing:
        """Ask the service and keep the answer; a failure leaves the old listing in place."""
        identity = directory.identity
        async with AsyncExitStack() as stack:
            try:
                with deadline(self._timeout_s, f"list {directory.name or '/'!r}"):
                    if self._kept is not None:
                        await stack.enter_async_context(self._kept.lock(identity))
                        found = await self._from_others(directory, believe_s)
                        if found is not None:
                            return found
                    asked_at, moment = trio.current_time(), Moment.now()
                    rollup_ns = self.knowledge.rollup(directory)
                    children, warnings = await self._ask(directory)
                    entries = await self._entries_of(children)
                    await self._learn_sizes(entries)
            except DriveError as error:
                await self._failed(directory, error)
                raise
            listing = Listing(directory, entries, asked_at, rollup_ns, warnings)
            await self._keep(listing, moment)
            if self._kept is not None:
                self._nursery.start_soon(self._save, listing, moment, stack.pop_all())
            return listing

    async def _entries_of(self, children: list[Child]) -> dict[str, Child]:
        def work() -> dict[str, Child]:
            return entry_names(child for child in children if self._shown(child))

        if len(children) > THREAD_ENTRIES:
            return await trio.to_thread.run_sync(work)
        return work()

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

    # Failing

    def _refuse_denied(self, identity: str) -> None:
        denied = self._denied.get(identity)
        if denied is not None:
            raise denied.again()

    async def _failed(self, directory: Directory, error: DriveError) -> None:
        """Keep the old listing, unless the service took the directory away."""
        identity = directory.identity
        if isinstance(error, SpeculationDropped | OfflineError):
            return
        known = self.knowledge.get(identity)
        if known is None:
            if isinstance(error, AccessError) and not isinstance(error, SignedOutError):
                self._denied[identity] = error
            return
        if isinstance(error, AccessError | GoneError) and await self._confirmed(identity):
            log.warning("%s", error.message)
            self._denied[identity] = error
            self.knowledge.drop(identity)
            if self._kept is not None:
                await self._kept.forget(identity)
            return
        known.failures += 1
        wait_s = min(RETRY_FIRST_S * 2 ** (known.failures - 1), RETRY_MAX_S)
        known.retry_at = trio.current_time() + wait_s
        level = logging.WARNING if known.failures == 1 else logging.DEBUG
        log.log(level, "%s; serving what was listed before", error.message)

    async def _confirmed(self, identity: str) -> bool:
        """A refusal counts while the service answers us for what lies above."""
        above = self.knowledge.parent(identity)
        if above is None:
            return False
        try:
            await self._refreshed(above.listing.directory, 0.0)
        except DriveError:
            return False
        return True

    # Keeping

    async def _keep(self, listing: Listing, moment: Moment, parent: str = "") -> CachedListing:
        old = self.knowledge.get(listing.directory.identity)
        names: Sequence[str] = ()
        if old is not None and self.on_change is not None:
            before, after = old.listing.entries, listing.entries
            if len(before) + len(after) > THREAD_ENTRIES:
                names = await trio.to_thread.run_sync(changed_names, before, after)
            else:
                names = changed_names(before, after)
        known = self.knowledge.keep(listing, moment, parent)
        if names and self.on_change is not None:
            self.on_change(listing.directory, names)
        return known

    async def _save(self, listing: Listing, moment: Moment, lock: AsyncExitStack) -> None:
        """To disk, then let the next process look there; also while the drive shuts down."""
        assert self._kept is not None
        record = Record(
            moment=moment,
            directory=listing.directory,
            parent=self.knowledge.parent_identity(listing.directory.identity),
            rollup_ns=listing.rollup_ns,
            warnings=listing.warnings,
            entries=listing.entries,
        )
        with trio.CancelScope(shield=True):
            async with lock:
                try:
                    await self._kept.save(record)
                except Exception:
                    log.exception("a listing is not kept on disk")

    async def _recall(self, directory: Directory) -> CachedListing | None:
        """What the disk knows, however old."""
        if self._kept is None:
            return None
        return await self._recalls.join(directory.identity, partial(self._load, directory)).wait()

    async def _load(self, directory: Directory) -> CachedListing | None:
        assert self._kept is not None
        record = await self._kept.load(directory.identity)
        known = self.knowledge.get(directory.identity)
        if known is not None or record is None:
            return known
        return await self._adopt(directory, record)

    async def _from_others(self, directory: Directory, believe_s: float) -> Listing | None:
        """What another process asked for meanwhile, if it is newer than ours and fresh enough."""
        assert self._kept is not None
        record = await self._kept.load(directory.identity)
        age_s = record.moment.age_s() if record is not None else None
        if record is None or age_s is None or age_s >= believe_s:
            return None
        known = self.knowledge.get(directory.identity)
        if known is not None and (
            record.moment == known.moment or trio.current_time() - age_s <= known.listed_at
        ):
            return None
        told = self.knowledge.rollup(directory)
        if told is not None and record.rollup_ns != told:
            return None  # something changed since
        return (await self._adopt(directory, record)).listing

    async def _adopt(self, directory: Directory, record: Record) -> CachedListing:
        """A moment that no clock can date is long ago."""
        age_s = record.moment.age_s()
        listed_at = trio.current_time() - age_s if age_s is not None else float("-inf")
        listing = Listing(directory, record.entries, listed_at, record.rollup_ns, record.warnings)
        return await self._keep(listing, record.moment, record.parent)


__all__ = ["Freshness", "Listings"]
