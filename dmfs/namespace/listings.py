"""What is in each directory: one request, cached, shared by all callers.

One listing answers readdir, lookup, attributes and authoritative absence. A listing is

- *fresh* while ``listing_cache`` says so;
- *stale* after that: all callers share one refresh and wait for it up to ``patience``; then they
  get the stale listing, and the refresh goes on;
- still served when a refresh fails: failure never looks like absence. Only a refusal of the
  service removes a directory, and only while the service still answers for its parent.

``listing_tiers`` adds the disk, which all processes share: a process locks a directory while it
requests it, and the others take its answer.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Literal, get_args

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
    StalledError,
)
from dmfs.model import Child, Directory, Histories, Listing, View, WithDeleted
from dmfs.namespace.change_feed import OnChange
from dmfs.namespace.directory_query import DirectoryQuery, FetchSize, ListChildren
from dmfs.namespace.known.by_id import ById
from dmfs.namespace.listing_cache import CachedListing, Freshness, ListingCache
from dmfs.namespace.listing_store import ListingStore
from dmfs.namespace.listing_tiers import ListingTiers
from dmfs.namespace.views.past import refused_in
from dmfs.namespace.views.views import Views, maybe_lost
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority, current_priority
from dmfs.system.backoff import Cooldown
from dmfs.system.clock import Moment, wall_time_s
from dmfs.system.concurrency import Flight, SingleFlight, deadline

log = logging.getLogger(__name__)

DENIAL_TTL_S = 30.0
"""For so long a refused directory costs no further request: many tools look at it, and a walker
may reach it some time after the prefetch did."""
RETRY_FIRST_S = 2.0
RETRY_MAX_S = 60.0
STALL_PAUSE_S = 0.5
"""After a deadline that passed: the first answer must end a stall within a second."""
REFRESHES_BEHIND = 4
"""Refreshes of stale listings under way at once while none is answered: a walk over known folders
must not send a call for each into a stretch that stalls."""
JOINS_MAX = 3
"""A caller may join speculation just as it gives way; then the caller starts a refresh anew."""
SETTLED_S = 60.0
"""So long after a change some of the service's answers may not show it yet."""
POLL_MAX_AGE_S = 15.0
"""A poll takes another process's answer up to this age: half of the shortest poll interval."""

Cause = Literal["miss", "expired", "poll", "ahead", "confirm", "asked"]
"""Why a refresh was started: an unknown directory, a stale listing, the poller, prefetching, a
refusal that its parent must confirm, a person who asks for it."""


class Listings:
    """All listings; ``get`` is the only step of the namespace that may touch the network."""

    def __init__(
        self,
        list_children: ListChildren,
        fetch_size: FetchSize,
        nursery: trio.Nursery,
        *,
        freshness: Freshness,
        timeout_s: float,
        service_folders: bool,
        store: ListingStore | None = None,
        offline: Callable[[], bool] = lambda: False,
    ) -> None:
        """``timeout_s``: deadline of one refresh. ``offline``: whether a request cannot succeed
        now."""
        self._query = DirectoryQuery(list_children, fetch_size, service_folders=service_folders)
        self._freshness = freshness
        self._timeout_s = timeout_s
        self._offline = offline
        self._tiers = ListingTiers(freshness, nursery, store)
        self.changes = self._tiers.changes
        self.by_id = ById(self._tiers.memory, store)
        self._flights: SingleFlight[str, Listing] = SingleFlight(nursery)
        self._priorities: dict[str, RequestPriority] = {}
        self._denials: cachetools.TTLCache[str, DriveError] = cachetools.TTLCache(
            4096, DENIAL_TTL_S, timer=trio.current_time
        )
        self._shown: Callable[[Listing], Listing] = lambda listing: listing
        self.views = Views(self)
        self._impatient_until = float("-inf")
        """Till then the patience is spent: a refresh was waited for in vain, and none was answered
        since. (It is one for all: a walk over 100 known folders took 100 patiences.)"""
        self._fresh_hits = self._stale_hits = self._revalidated = self._misses = 0
        self._refreshes: dict[Cause, int] = dict.fromkeys(get_args(Cause), 0)

    @property
    def cache(self) -> ListingCache:
        """The listings in memory."""
        return self._tiers.memory

    def show_as(self, shown: Callable[[Listing], Listing]) -> None:
        """Give out each listing as ``shown`` has it, too. Called often, it must not block."""
        before = self._shown
        self._shown = lambda listing: shown(before(listing))

    def shown_anew(self, directory: Directory, names: Sequence[str]) -> None:
        """``show_as`` shows something else under these names from now on."""
        self._tiers.changes.publish(directory, names)

    async def recall(self, directory: Directory) -> Listing | None:
        """The listing in memory or on disk, however old, as it was listed; costs no call."""
        if isinstance(directory, View):
            return await self.views.recall(directory)
        cached = self.cache.get(directory.identity) or await self._tiers.recall(directory)
        return None if cached is None else cached.listing

    def subscribe(self, callback: OnChange) -> None:
        """Call ``callback(directory, names)`` on the loop whenever a newer listing changes names.

        ``names`` now mean another node, or no node, or a new one. The callback must not block.
        """
        self._tiers.changes.subscribe(callback)

    async def get(self, directory: Directory) -> Listing:
        """The listing: fresh, or stale after ``patience``. DriveError only if none is known."""
        if isinstance(directory, View):
            return await self.views.get(directory)
        return self._shown(await self._get(directory))

    async def child(self, directory: Directory, name: str) -> Child | None:
        """What a name means in a directory, listed or not. None is authoritative; BadResponseError
        where it may be one of those that are lost: failure never looks like absence."""
        listing = await self.get(directory)
        found = listing.entries.get(name)
        if found is None:
            found = await self.views.child(directory, name)
        if found is None and listing.lost:
            raise maybe_lost(directory, name)
        return found

    async def since(self, source: WithDeleted, at_s: float) -> Listing:
        """What was requested after a moment (seconds since the epoch), and so holds all that came
        before it. A minute later it holds also what the service's listings showed late."""
        cached = self.cache.use(source.identity) or await self._tiers.recall(source)
        if cached is not None:
            requested_s, shown = cached.moment[0], cached.listing
            settled = requested_s >= at_s + SETTLED_S and not refused_in(shown.entries.values())
            is_young = trio.current_time() - shown.listed_at < self._freshness.ttl
            if settled or (requested_s >= at_s and (is_young or self._offline())):
                return cached.listing
        else:
            self._raise_denial(source.identity)
        return await self._refresh(source, "miss", max(0.0, wall_time_s() - at_s - SETTLED_S))

    async def keep(self, listing: Listing) -> None:
        """Keep what was made of others, as long as there is room for it."""
        await self._tiers.put(listing, Moment.now())

    async def _get(self, directory: Directory) -> Listing:
        identity = directory.identity
        cached = self.cache.use(identity) or await self._tiers.recall(directory)
        # once more: on a busy machine another caller's refresh ends between the recall and here
        cached = cached or self.cache.use(identity)
        if cached is None:
            self._misses += 1
            self._raise_denial(identity)
            return await self._refresh(directory, "miss")
        if self.fresh_for(directory) > 0:
            self._fresh_hits += 1
            return cached.listing
        if cached.may_refresh and not self._offline():
            try:
                listing = await self._refresh_within_patience(directory)
                if listing is not None:
                    self._revalidated += 1
                    return listing
            except DriveError:
                # the refresh logged it; an old listing is better than none
                self._raise_denial(identity)
        self._stale_hits += 1
        return (self.cache.get(identity) or cached).listing  # never older than others have seen

    async def renew(self, directory: Directory) -> Listing:
        """A listing of now: refresh whatever is known, and wait for it without ``patience``."""
        return await self._refresh(directory, "poll", POLL_MAX_AGE_S)

    async def list_again(self, directory: Directory) -> Listing:
        """A listing that was requested after this call: a person knows of a change."""
        called_at = trio.current_time()
        for _ in range(JOINS_MAX):
            listing = await self._refresh(directory, "asked", 0.0)
            if listing.listed_at >= called_at:
                break  # else it joined one that was on its way
        return listing

    async def ahead(self, directory: Directory, wanted: Callable[[], bool]) -> None:
        """List speculatively; SpeculationDropped once ``wanted()`` is False."""
        if isinstance(directory, View):
            await self.views.ahead(directory, wanted)
            return
        if self.cache.get(directory.identity) is None:
            await self._tiers.recall(directory)
        if self.fresh_for(directory) <= 0 and not self._offline():
            priority = RequestPriority(Priority.AHEAD, wanted)
            max_age_s = self._freshness.ttl_of(directory)
            await self._join_refresh(directory, priority, "ahead", max_age_s).wait()

    def known(self, directory: Directory) -> Listing | None:
        """The listing in memory, fresh or stale; never waits."""
        if isinstance(directory, View) and (made := self.views.made_now(directory)) is not None:
            return made
        cached = self.cache.get(directory.identity)
        return None if cached is None else self._shown(cached.listing)

    def fresh_for(self, directory: Directory) -> float:
        """Seconds for which the listing is still fresh (0 or less: stale or unknown)."""
        if isinstance(directory, Histories):
            directory = directory.of
        elif isinstance(directory, View):
            return math.inf  # of one version, of one moment
        return self.cache.fresh_for(directory, trio.current_time())

    def incomplete(self, directory: Directory) -> int:
        """Entries of the listing in memory that are undescribed or lost."""
        return 0 if (now := self.cache.get(directory.identity)) is None else now.listing.incomplete

    def listed_at(self, directory: Directory) -> Moment | None:
        """When the listing in memory was valid, by the wall clock."""
        return None if (now := self.cache.get(directory.identity)) is None else now.moment

    def stale_count(self) -> int:
        """Listings in memory that are no longer fresh."""
        return self.cache.stale_count(trio.current_time())

    def gauges(self) -> dict[str, int]:
        """Counts since the start, and the sizes of the cache now."""
        return {
            "listings.cached": len(self.cache),
            "listings.entries": self.cache.entries,
            "listings.evicted": self.cache.evicted,
            "listings.fresh_hits": self._fresh_hits,
            "listings.stale_hits": self._stale_hits,
            "listings.revalidated": self._revalidated,
            "listings.misses": self._misses,
            "listings.recalled": self._tiers.recalled,
            "listings.shared": self._tiers.shared,
        } | {f"listings.refreshes_{cause}": count for cause, count in self._refreshes.items()}

    # Refreshes

    async def _refresh_within_patience(self, directory: Directory) -> Listing | None:
        """The refreshed listing; None if it takes longer (then the refresh goes on by itself)."""
        impatient = trio.current_time() < self._impatient_until
        if impatient and len(self._priorities) >= REFRESHES_BEHIND:
            return None
        with trio.move_on_after(0 if impatient else self._freshness.patience):
            return await self._refresh(directory, "expired")
        self._impatient_until = trio.current_time() + self._timeout_s
        return None

    async def _refresh(
        self, directory: Directory, cause: Cause, max_age_s: float | None = None
    ) -> Listing:
        """Wait for a refresh. ``max_age_s``: how old another process's answer may be."""
        current = current_priority()
        if max_age_s is None:
            max_age_s = self._freshness.ttl_of(directory)
        for _ in range(JOINS_MAX):
            try:
                return await self._join_refresh(directory, current.anew(), cause, max_age_s).wait()
            except SpeculationDropped:
                if current.may_end:
                    raise
        raise BusyError(f"cannot list {directory.name!r}: asked for in vain {JOINS_MAX} times")

    def _join_refresh(
        self, directory: Directory, priority: RequestPriority, cause: Cause, max_age_s: float
    ) -> Flight[Listing]:
        identity = directory.identity
        under_way = self._priorities.get(identity)
        if under_way is None:
            # Now, not when the work begins: a caller that joined in between had no priority to
            # raise, and waited as long as speculation does: 29 s under the published limit.
            self._priorities[identity] = priority
            self._refreshes[cause] += 1
        else:
            under_way.raise_to(priority.level)
            priority = under_way
        with at_priority(priority):
            work = partial(self._run_refresh, directory, priority, max_age_s)
            return self._flights.join(identity, work)

    async def _run_refresh(
        self, directory: Directory, priority: RequestPriority, max_age_s: float
    ) -> Listing:
        speculative = priority.level >= Priority.AHEAD
        try:
            return await self._request(directory, max_age_s)
        except StalledError:
            raise  # it was not even sent: whoever speculates must hear of it, or asks for ever
        except (DeadlineError, BusyError) as error:
            if speculative:  # its deadline may have passed in the queue, before any caller joined
                raise SpeculationDropped(error.message) from None
            raise
        finally:
            del self._priorities[directory.identity]

    async def _request(self, directory: Directory, max_age_s: float) -> Listing:
        """Request a directory and store the answer; a failure leaves the old listing in place."""
        async with AsyncExitStack() as lock:
            try:
                with deadline(self._timeout_s, f"list {directory.name or '/'!r}"):
                    await lock.enter_async_context(self._tiers.lock(directory.identity))
                    shared = await self._tiers.take_shared(directory, max_age_s)
                    if shared is not None:
                        return shared
                    sent_at, moment = trio.current_time(), Moment.now()
                    rollup_ns = self.cache.rollup(directory)
                    old = self.cache.get(directory.identity)
                    before = None if old is None else old.listing.entries
                    found = await self._query.entries(directory, before)
            except DriveError as error:
                await self._on_failure(directory, error)
                raise
            listing = Listing(
                directory, found.by_name, sent_at, rollup_ns, found.undescribed, found.lost
            )
            self._impatient_until = float("-inf")
            await self._tiers.put(listing, moment)
            self._tiers.save(listing, moment, lock.pop_all())
            return listing

    # Failures

    def _raise_denial(self, identity: str) -> None:
        if (denial := self._denials.get(identity)) is not None:
            raise denial.copy()

    async def _on_failure(self, directory: Directory, error: DriveError) -> None:
        """Keep the old listing, unless the service refuses the directory to this user."""
        identity = directory.identity
        if isinstance(error, SpeculationDropped | OfflineError):
            return
        if (cached := self.cache.get(identity)) is None:
            if isinstance(error, AccessError) and not isinstance(error, SignedOutError):
                self._denials[identity] = error
            return
        if isinstance(error, AccessError | GoneError) and await self._parent_answers(identity):
            log.warning("%s", error.message)
            self._denials[identity] = error
            await self._tiers.forget(identity)
            return
        if isinstance(error, DeadlineError):
            # the next refresh is refused before it is sent, until something answers
            cached.cooldown = Cooldown(STALL_PAUSE_S)
            cached.cooldown.start()
            log.debug("%s; serving what was listed before", error.message)
            return
        _start_cooldown(cached)
        level = logging.WARNING if cached.failures == 1 else logging.DEBUG
        log.log(level, "%s; serving what was listed before", error.message)

    async def _parent_answers(self, identity: str) -> bool:
        """Whether the service still answers for the parent; only then a refusal counts."""
        if (above := self.cache.parent(identity)) is None:
            return False
        try:
            await self._refresh(above.listing.directory, "confirm", 0.0)
        except DriveError:
            return False
        return True


def _start_cooldown(cached: CachedListing) -> None:
    """No further refresh for 2 s, then 4, 8 … 60 s while refreshes fail."""
    cached.failures += 1
    cached.cooldown = Cooldown(min(RETRY_FIRST_S * 2 ** (cached.failures - 1), RETRY_MAX_S))
    cached.cooldown.start()


__all__ = ["Freshness", "Listings"]
