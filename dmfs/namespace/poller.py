"""Refreshes the listings of directories in use, so that changes show without a request.

Changes reach the kernel through ``Listings.subscribe``; an open file manager sees them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import cachetools
import trio

from dmfs.errors import DriveError
from dmfs.model import Directory, Hub, Project, Root
from dmfs.namespace.listing_cache import NEVER
from dmfs.namespace.listings import Listings
from dmfs.namespace.poll_schedule import Periods, PollSchedule
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority, current_priority

log = logging.getLogger(__name__)

TICK_S = 1.0
USE_INTERVAL_S = 5.0
"""The schedule takes at most one use of a directory in this time."""
TARGETS_MAX = 256
STALE_A_ROUND = 1
"""Stale directories refreshed in one round: an idle mount stays cheap."""


class Poller:
    """``on_use`` at each request for a directory; ``run`` for as long as the drive lives."""

    def __init__(
        self,
        listings: Listings,
        periods: Periods,
        *,
        hub_period_s: float,
        calls_for: Callable[[int], int],
    ) -> None:
        """``calls_for``: how many calls the listing of so many entries costs."""
        self._listings = listings
        self._calls_for = calls_for
        self._schedule = PollSchedule(periods)
        self._hub_period_s = hub_period_s
        self._targets: cachetools.FIFOCache[str, Directory] = cachetools.FIFOCache(TARGETS_MAX)
        self._recent_uses: cachetools.TTLCache[str, bool] = cachetools.TTLCache(
            1024, USE_INTERVAL_S, timer=trio.current_time
        )
        self._polls = self._refreshes = 0

    def on_use(self, directory: Directory) -> None:
        """A program uses a directory. Returns at once. Whoever only passes (at ``POLL``) leaves
        nothing to look at again: an indexer's walk would have all folders polled for an hour."""
        if directory.identity in self._recent_uses or current_priority().level >= Priority.POLL:
            return
        self._recent_uses[directory.identity] = True
        target, min_period_s = self._target(directory)
        self._schedule.on_use(
            directory.identity, target.identity, min_period_s, trio.current_time()
        )

    def watch(self, directory: Directory) -> None:
        """Poll where a directory is, although no program uses it; what it finds is left to who
        watches. To be said again now and then: uses of other directories push it out."""
        target, min_period_s = self._target(directory)
        self._schedule.watch(f"watched {target.identity}", target.identity, min_period_s)

    def _target(self, directory: Directory) -> tuple[Directory, float]:
        """What is polled for a directory, and the shortest time between two polls."""
        chain = self._listings.cache.chain(directory)
        target = next((each for each in chain if isinstance(each, Project)), chain[-1])
        if not isinstance(target, Project) and not isinstance(target, Root | Hub):
            target = chain[0]  # mounted below a project whose own listing is unknown
        min_period_s = self._hub_period_s if isinstance(target, Root | Hub) else 0.0
        self._targets[target.identity] = target
        return target, min_period_s

    async def run(self) -> None:
        """Poll what is due, for ever."""
        while True:
            await trio.sleep(TICK_S)
            due = self._schedule.due(trio.current_time())
            if due is not None:
                with at_priority(RequestPriority(Priority.POLL)):
                    await self._poll(*due)

    def gauges(self) -> dict[str, int]:
        """Counts since the start: polls of targets, and the refreshes below them."""
        return {"poller.polls": self._polls, "poller.refreshes": self._refreshes}

    async def _poll(self, target: str, within: list[str]) -> None:
        calls = 1
        directory = self._targets.get(target)
        try:
            if directory is not None:
                self._polls += 1
                listing = await self._listings.renew(directory)
                calls = self._calls_for(len(listing.entries))
                calls += await self._refresh_below(within)
        except DriveError as error:
            log.debug("not polled: %s", error.message)
        except Exception:
            log.exception("polling failed")
        self._schedule.on_polled(target, calls, trio.current_time())

    async def _refresh_below(self, within: list[str]) -> int:
        """Refresh, from the target down to the used directories, those whose rollup shows a
        change; and of those that no rollup confirms any more, a few a round. Returns calls."""
        cache = self._listings.cache
        calls = stale = 0
        for identity in within:
            cached = cache.get(identity)
            for directory in cache.chain(cached.listing.directory) if cached else ():
                if isinstance(directory, Root | Hub) or self._listings.fresh_for(directory) > 0:
                    continue
                if cache.valid_at(directory.identity) != NEVER:
                    stale += 1
                    if stale > STALE_A_ROUND:
                        break
                node = cache.directory(directory.identity)
                self._refreshes += 1
                listing = await self._listings.renew(node or directory)
                calls += self._calls_for(len(listing.entries))
        return calls
