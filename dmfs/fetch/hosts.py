"""A breaker for each host that bytes come from, around the engine that fetches them. Floor 1.

A connect to a network that is gone takes ten seconds to fail, and five tries of it a minute. One
failure is enough to look: from then on reads of what is not cached fail at once, until the host
answers again. Any answer of it is a good one: its front page is nobody's business.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import urlsplit

import trio

from dmfs.errors import OfflineError, UnreachableError
from dmfs.fetch.curl.transfer import Fetcher, RangeRequest
from dmfs.http.circuit_breaker import CircuitBreaker

ORIGINS_MAX = 16
"""One a region, and old ones. Who comes after that has none: it fails more slowly."""

Reach = Callable[[str, float], Awaitable[bool]]
"""Whether an origin (``https://host``) answers within so many seconds."""


class HostBreakers:
    """As the fetcher, and OfflineError at once while the URL's host is known to be away."""

    def __init__(self, fetcher: Fetcher, reach: Reach, nursery: trio.Nursery) -> None:
        self._fetcher = fetcher
        self._reach = reach
        self._nursery = nursery
        self._breakers: dict[str, CircuitBreaker] = {}
        self.on_open: Callable[[], None] = lambda: None
        """A host went away: the whole network?"""

    async def fetch(self, get: RangeRequest) -> None:
        """See ``transfer.Fetcher``."""
        breaker = self._of(get.url)
        breaker.check(get.what)
        try:
            await self._fetcher.fetch(get)
        except UnreachableError as error:
            if not error.status:
                breaker.failed()
            if breaker.is_open:
                raise OfflineError(error.message, hint=error.hint) from None
            raise

    def suspect(self) -> None:
        """Something else is away; look at all of them now."""
        for breaker in self._breakers.values():
            breaker.nudge()

    def _opened(self) -> None:
        self.on_open()

    def _of(self, url: str) -> CircuitBreaker:
        split = urlsplit(url)
        origin = f"{split.scheme}://{split.netloc}"
        breaker = self._breakers.get(origin)
        if breaker is None:
            breaker = CircuitBreaker()
            breaker.subscribe(on_open=self._opened)
            if len(self._breakers) < ORIGINS_MAX:
                self._breakers[origin] = breaker
                self._nursery.start_soon(breaker.watch, partial(self._reach, origin))
        return breaker
