"""Which ETag the bytes of a storage object come under, and how a mistake about it ends. Floor 1.

The first ETag that a stretch of an object comes under is the one to stay with: bytes under another
one are not mixed with it. But the first may be the odd one (a node of the CDN in trouble), and then
every right answer after it would be refused. So another ETag is a question, not yet an answer: two
GETs with a fresh URL, at once and so on two connections, must agree. What they say is believed.
(Of an object that is signed in parts each part has an ETag of its own: one that came from an odd
node and is never asked for again is not found out.)
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import cachetools
import trio

from dmfs.errors import ObjectChangedError
from dmfs.fetch.curl.transfer import ETagGuard
from dmfs.model import StorageId
from dmfs.system.concurrency import SingleFlight

log = logging.getLogger(__name__)

Stretch = tuple[StorageId, int, int]
"""A part of an object by its bounds: one signed in chunks first and as a whole later has other
ETags."""

OBJECTS_REMEMBERED = 4096
WITNESSES = 2
ADOPTION_EVERY_S = 60.0
"""A CDN that cannot make up its mind costs an error instead of the whole cache, again and again."""

AskETag = Callable[[], Awaitable[str]]
"""One GET by a fresh URL, checked like any other; the ETag that it came under."""


class ETags:
    """The guard of each stretch; ``settle`` when an answer came under another ETag."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._guards: cachetools.LRUCache[Stretch, ETagGuard] = cachetools.LRUCache(
            OBJECTS_REMEMBERED
        )
        self._adopted: cachetools.TTLCache[Stretch, bool] = cachetools.TTLCache(
            OBJECTS_REMEMBERED, ADOPTION_EVERY_S, timer=trio.current_time
        )
        self._flights: SingleFlight[Stretch, bool] = SingleFlight(nursery)
        self.on_adopted: Callable[[StorageId], None] | None = None
        """Told, before any byte under the new ETag is fetched, that those kept are not to be
        mixed with it."""

    def guard(self, stretch: Stretch) -> ETagGuard:
        return self._guards.setdefault(stretch, ETagGuard())

    async def settle(
        self, what: str, stretch: Stretch, refused_by: ETagGuard, ask: AskETag
    ) -> bool:
        """Whether another ETag was adopted (True), or the one so far confirmed (False).

        ObjectChangedError where the witnesses do not agree. Once for all who ask meanwhile.
        """
        if self.guard(stretch) is not refused_by:
            return True  # settled while the answer was on its way
        return await self._flights.join(stretch, lambda: self._hear(what, stretch, ask)).wait()

    async def _hear(self, what: str, stretch: Stretch, ask: AskETag) -> bool:
        told: list[str] = []
        failures: list[Exception] = []

        async def witness() -> None:
            try:
                told.append(await ask())
            except Exception as error:  # noqa: BLE001 - raised below
                failures.append(error)

        async with trio.open_nursery() as nursery:
            for _ in range(WITNESSES):
                nursery.start_soon(witness)
        if failures:
            raise failures[0]
        known = self.guard(stretch)
        if set(told) == {known.etag}:
            log.info("%s: an answer under another ETag was the odd one", what)
            return False
        if len(set(told)) != 1 or not told[0] or stretch in self._adopted:
            raise ObjectChangedError(f"cannot {what}: the stored object keeps changing its ETag")
        log.warning("%s: it comes under another ETag now; what was kept is fetched anew", what)
        self._adopted[stretch] = True
        known.retired = True
        self._guards[stretch] = ETagGuard(told[0])
        if self.on_adopted is not None:
            self.on_adopted(stretch[0])
        return True
