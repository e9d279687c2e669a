"""Brings what people look at up to date without being asked. Floor 3.

What changed reaches the kernel by ``Listings.on_change``; an open file manager sees it.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable

import cachetools
import trio

from dmfs.errors import DriveError
from dmfs.model import Directory, Hub, Project, Root
from dmfs.namespace.listing_cache import LONG_AGO
from dmfs.namespace.listings import Listings
from dmfs.namespace.poll_schedule import Periods, PollSchedule
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority

log = logging.getLogger(__name__)

TICK_S = 1.0
LOOK_AGAIN_S = 5.0
"""A directory that is looked at all the time is noted this often."""
POSTS_MAX = 256
STALE_A_ROUND = 1
"""Directories asked for because nothing vouches for them any more: an idle mount stays cheap."""


class Poller:
    """``looked`` at each request for a directory; ``run`` for as long as the drive lives."""

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
        self._watch = PollSchedule(periods)
        self._hub_period_s = hub_period_s
        self._posts: OrderedDict[str, Directory] = OrderedDict()
        self._noted: cachetools.TTLCache[str, bool] = cachetools.TTLCache(
            1024, LOOK_AGAIN_S, timer=trio.current_time
        )

    def looked(self, directory: Directory) -> None:
        """Somebody used a directory. Returns at once."""
        if directory.identity in self._noted:
            return
        self._noted[directory.identity] = True
        chain = self._listings.knowledge.chain(directory)
        post = next((each for each in chain if isinstance(each, Project)), chain[-1])
        if not isinstance(post, Project) and not isinstance(post, Root | Hub):
            post = chain[0]  # mounted below a project whose own listing is not known
        shortest_s = self._hub_period_s if isinstance(post, Root | Hub) else 0.0
        self._posts[post.identity] = post
        self._posts.move_to_end(post.identity)
        while len(self._posts) > POSTS_MAX:
            self._posts.popitem(last=False)
        self._watch.looked(directory.identity, post.identity, shortest_s, trio.current_time())

    async def run(self) -> None:
        """Ask what is due; for ever."""
        while True:
            await trio.sleep(TICK_S)
            due = self._watch.due(trio.current_time())
            if due is not None:
                with at_priority(RequestPriority(Priority.POLL)):
                    await self._ask(*due)

    async def _ask(self, post: str, within: list[str]) -> None:
        calls = 1
        directory = self._posts.get(post)
        try:
            if directory is not None:
                listing = await self._listings.renew(directory)
                calls = self._calls_for(len(listing.entries))
                calls += await self._follow(within)
        except DriveError as error:
            log.debug("not polled: %s", error.message)
        except Exception:
            log.exception("polling failed")
        self._watch.asked(post, calls, trio.current_time())

    async def _follow(self, within: list[str]) -> int:
        """From the post down to the watched directories, where a rollup says that something
        changed; and of those that nothing vouches for any more, a few a round."""
        knowledge = self._listings.knowledge
        calls = stale = 0
        for identity in within:
            known = knowledge.get(identity)
            for directory in knowledge.chain(known.listing.directory) if known else ():
                if isinstance(directory, Root | Hub) or self._listings.fresh_for(directory) > 0:
                    continue
                if knowledge.valid_at(directory.identity) != LONG_AGO:
                    stale += 1
                    if stale > STALE_A_ROUND:
                        break
                node = knowledge.directory(directory.identity)
                listing = await self._listings.renew(node or directory)
                calls += self._calls_for(len(listing.entries))
        return calls
