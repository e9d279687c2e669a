"""Lists ahead of programs that walk the tree. Floor 3.

Speculation: bounded in flight and ahead of the walker, at a priority below everything that anybody
waits for, dropped when the walk stops, silent when it fails.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import islice

import cachetools
import trio

from dmfs.errors import DriveError, SpeculationDropped
from dmfs.model import Directory
from dmfs.namespace.listings import Listings
from dmfs.prefetch.tree_walk import VISITS_MAX, Walk, WalkPlanner, upcoming
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority

log = logging.getLogger(__name__)

AHEAD_MAX = 256
"""Listed and not yet opened: what is in vain if the walk stops here, a minute's quota."""
NEAR_MAX, NEAR_AT_ONCE = 256, 8
"""So many more, a few at a time: what lies ahead may lie far ahead, and a walker that goes down a
branch nobody knew waits for each level of it. Of 300 calls a minute such walks used 0.62."""
FAILURE_MEMORY_S = 30.0
"""What could not be listed ahead is left to who opens it."""
QUEUE_MAX = 64
"""Directories found at one look."""
IDLE_OPENS = VISITS_MAX // 4
"""Where all that comes next is known, this many opens go by before it is looked through again."""


class TreePrefetcher:
    """Watches opens of directories; ``entering`` goes around each."""

    def __init__(self, listings: Listings, nursery: trio.Nursery, *, at_once: int) -> None:
        self._listings = listings
        self._nursery = nursery
        self._at_once = at_once
        self._planner: WalkPlanner[str] = WalkPlanner(self._inside)
        self._under_way: set[str] = set()
        self._failed: cachetools.TTLCache[str, bool] = cachetools.TTLCache(
            1024, FAILURE_MEMORY_S, timer=trio.current_time
        )
        self._queue: deque[str] = deque()
        self._queue_of: tuple[Walk[str], int | None] | None = None
        self._idle = 0

    @contextmanager
    def entering(self, directory: Directory) -> Iterator[None]:
        """Around the listing of a directory that somebody opens."""
        chain = [each.identity for each in self._listings.knowledge.chain(directory)]
        walk = self._planner.on_open(chain, trio.current_time())
        try:
            if not walk.recognised:
                yield
                return
            self._go_ahead(walk)
            with at_priority(RequestPriority(Priority.WALK)):
                yield
            self._go_ahead(walk)
        finally:
            self._planner.on_answer(walk, trio.current_time())

    def _inside(self, identity: str) -> Collection[str] | None:
        known = self._listings.knowledge.peek(identity, trio.current_time())
        return None if known is None else known.folders.keys()

    def _go_ahead(self, walk: Walk[str]) -> None:
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
            directory = self._listings.knowledge.directory(identity)
            if directory is not None:
                self._under_way.add(identity)
                walk.ahead.add(identity)
                self._nursery.start_soon(self._list, walk, directory)

    def _next(self, walk: Walk[str]) -> str | None:
        """The next one worth listing. The tree is looked through anew when the last look is used
        up, and not at each open where it found nothing."""
        for looked in (False, True):
            while self._queue:
                identity = self._queue.popleft()
                if identity in walk.opened or self._inside(identity) is not None:
                    continue
                if identity not in self._under_way and identity not in self._failed:
                    return identity
            if looked or self._idle > 0:
                self._idle -= 1
                return None
            self._queue.extend(islice(upcoming(walk, self._inside), QUEUE_MAX))
            if not self._queue:
                self._idle = IDLE_OPENS
        return None

    async def _list(self, walk: Walk[str], directory: Directory) -> None:
        identity = directory.identity
        try:
            await self._listings.ahead(directory, lambda: walk.alive(trio.current_time()))
        except SpeculationDropped:
            pass  # its time ran out in the queue of the budget, or the walk ended: no failure
        except DriveError as error:
            log.debug("not listed ahead: %s", error.message)
            self._failed[identity] = True
        except Exception:
            log.exception("listing %r ahead failed", directory.name)
            self._failed[identity] = True
        finally:
            self._under_way.discard(identity)
        self._idle = 0  # its directories may be new, and wanted before those that were found
        self._queue.clear()
        self._go_ahead(walk)
