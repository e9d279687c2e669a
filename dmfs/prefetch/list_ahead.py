"""Lists directories ahead of programs that walk the tree.

Speculation: limited in flight and in distance from the walker, at a priority below all requests
that a program waits for, dropped when the walk stops, silent when it fails.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

import cachetools
import trio

from dmfs.errors import DriveError, SpeculationDropped
from dmfs.model import Directory
from dmfs.namespace.listings import Listings
from dmfs.prefetch.tree_walk import VISITS_MAX, Walk, WalkPlanner
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority, current_priority

log = logging.getLogger(__name__)

AHEAD_MAX = 256
"""Listings prefetched and not yet opened: wasted if the walk stops here, a minute's quota."""
NEAR_MAX, NEAR_AT_ONCE = 256, 8
"""So many more, a few at a time: the AHEAD_MAX may lie far ahead, and then a walker would wait for
each level of a nearby branch (such walks used 0.62 of 300 calls a minute)."""
FAILURE_TTL_S = 30.0
"""After a failed prefetch only an open requests the directory, for so long."""
QUEUE_MAX = 64
"""Directories found by one search."""
IDLE_OPENS = VISITS_MAX // 4
"""Opens between two searches while everything ahead is known."""


class TreePrefetcher:
    """Recognises walks by the opens of directories; ``entering`` wraps each open."""

    def __init__(self, listings: Listings, nursery: trio.Nursery, *, at_once: int) -> None:
        self._listings = listings
        self._nursery = nursery
        self._at_once = at_once
        self._planner: WalkPlanner[str] = WalkPlanner(self._inside)
        self._under_way: set[str] = set()
        self._failed: cachetools.TTLCache[str, bool] = cachetools.TTLCache(
            1024, FAILURE_TTL_S, timer=trio.current_time
        )
        self._queue: deque[str] = deque()
        self._queue_of: tuple[Walk[str], int | None] | None = None
        self._idle = 0
        self._started = self._dropped = self._failures = 0

    @contextmanager
    def entering(self, directory: Directory) -> Iterator[None]:
        """Wrap the listing of a directory that a program opens. Those of indexers, which nobody
        waits for, are no walk."""
        if current_priority().level >= Priority.AHEAD:
            yield
            return
        chain = [each.identity for each in self._listings.cache.chain(directory)]
        walk = self._planner.on_open(chain, trio.current_time())
        try:
            if not walk.recognised:
                yield
                return
            self._prefetch(walk)
            with at_priority(RequestPriority(Priority.WALK)):
                yield
            self._prefetch(walk)
        finally:
            self._planner.on_answer(walk, trio.current_time())

    def gauges(self) -> dict[str, int]:
        """Counts since the start, and the listings under way now."""
        return {
            "prefetch.listings_started": self._started,
            "prefetch.listings_dropped": self._dropped,
            "prefetch.listings_failed": self._failures,
            "prefetch.listings_under_way": len(self._under_way),
        }

    def _inside(self, identity: str) -> dict[str, Directory] | None:
        cached = self._listings.cache.peek(identity, trio.current_time())
        return None if cached is None else cached.folders

    def _prefetch(self, walk: Walk[str]) -> None:
        if not walk.alive(trio.current_time()):
            return
        if self._queue_of != (walk, walk.deepest):
            self._queue.clear()
            self._queue_of = walk, walk.deepest
        while len(self._under_way) < self._at_once and len(walk.ahead) < AHEAD_MAX + NEAR_MAX:
            if len(walk.ahead) >= AHEAD_MAX and len(self._under_way) >= NEAR_AT_ONCE:
                return
            identity = self._next(walk)
            if identity is None:
                return
            directory = self._listings.cache.directory(identity)
            if directory is not None:
                self._under_way.add(identity)
                walk.ahead.add(identity)
                self._started += 1
                self._nursery.start_soon(self._list, walk, directory)

    def _next(self, walk: Walk[str]) -> str | None:
        """The next directory to list. A new search starts when the results of the last one are used
        up; after a search without result some opens pass first."""
        for searched in (False, True):
            while self._queue:
                identity = self._queue.popleft()
                if identity in walk.opened or self._inside(identity) is not None:
                    continue
                if identity not in self._under_way and identity not in self._failed:
                    return identity
            if searched or self._idle > 0:
                self._idle -= 1
                return None
            self._queue.extend(islice(self._planner.upcoming(walk), QUEUE_MAX))
            if not self._queue:
                self._idle = IDLE_OPENS
        return None

    async def _list(self, walk: Walk[str], directory: Directory) -> None:
        identity = directory.identity
        try:
            await self._listings.ahead(directory, lambda: walk.alive(trio.current_time()))
        except SpeculationDropped:
            self._dropped += 1  # its deadline passed in the limiter's queue, or the walk ended
        except DriveError as error:
            log.debug("not listed ahead: %s", error.message)
            self._on_failure(identity)
        except Exception:
            log.exception("listing %r ahead failed", directory.name)
            self._on_failure(identity)
        finally:
            self._under_way.discard(identity)
        self._idle = 0  # its directories may be new, and nearer than those in the queue
        self._queue.clear()
        self._prefetch(walk)

    def _on_failure(self, identity: str) -> None:
        self._failures += 1
        self._failed[identity] = True
