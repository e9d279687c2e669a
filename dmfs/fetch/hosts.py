"""What is known of the hosts that bytes come from: which ask for a pause, which are unreachable.

A Retry-After applies to the whole host; sharing it spares the other connections a 429 each. A
connect to a network that is gone takes ten seconds to fail, and five tries of it a minute: after
one failure, reads of what is not cached fail at once until the host answers again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import urlsplit

import cachetools
import trio

from dmfs.errors import DriveError, OfflineError, UnreachableError
from dmfs.fetch.curl.transfer import Fetcher, RangeRequest
from dmfs.http.circuit_breaker import CircuitBreaker

BACKOFF_MAX_S = 60.0
"""No read waits longer than that; and a server that says an hour by mistake gets a request within a
minute."""
HOSTS_REMEMBERED = 64
HOSTS_WATCHED = 16
"""One a region, and old ones. Further hosts have no breaker: they fail more slowly."""

Reach = Callable[[str, float], Awaitable[bool]]
"""Whether an origin (``https://host``) answers within so many seconds."""


class HostBackoff:
    """``refused`` when a host named a time (429, 503), ``wait`` before each GET."""

    def __init__(self) -> None:
        self._until: cachetools.LRUCache[str, tuple[float, type[DriveError]]] = cachetools.LRUCache(
            HOSTS_REMEMBERED
        )

    def refused(self, url: str, error: DriveError) -> None:
        """A host answered with ``error``; nothing happens if it named no time."""
        if error.retry_after_s:
            until = trio.current_time() + min(error.retry_after_s, BACKOFF_MAX_S)
            self._until[_host(url)] = until, type(error)

    async def wait(self, action: str, url: str) -> None:
        """Wait until the host of ``url`` takes requests again. If that is later than the deadline
        of the caller: at once an error of the kind that the host answered with."""
        until, kind = self._until.get(_host(url), (0.0, DriveError))
        if until >= trio.current_effective_deadline():
            wait_s = until - trio.current_time()
            raise kind(f"cannot {action}: the storage asks to wait {wait_s:.0f} s")
        if until > trio.current_time():
            await trio.sleep_until(until)


class HostBreakers:
    """As the fetcher, and OfflineError at once while the URL's host is known to be away.

    Any answer of a host is a good one: what its front page says does not matter. ``on_open`` is
    called when a host went away: the whole network may have.
    """

    def __init__(
        self,
        fetcher: Fetcher,
        reach: Reach,
        nursery: trio.Nursery,
        *,
        on_open: Callable[[], None] = lambda: None,
    ) -> None:
        self._fetcher = fetcher
        self._reach = reach
        self._nursery = nursery
        self._on_open = on_open
        self._breakers: dict[str, CircuitBreaker] = {}
        self._forced = False
        self._under_way: set[trio.CancelScope] = set()

    def force(self, on: bool) -> None:
        """A person wants all hosts away, and what is under way given up; or has them back."""
        self._forced = on
        for breaker in self._breakers.values():
            breaker.force(on)
        for scope in self._under_way if on else ():
            scope.cancel()

    async def fetch(self, request: RangeRequest) -> None:
        """See ``transfer.Fetcher``."""
        breaker = self._of(request.url)
        breaker.check(request.action)
        scope = trio.CancelScope()
        self._under_way.add(scope)
        try:
            with scope:
                await self._fetcher.fetch(request)
        except UnreachableError as error:
            if not error.status:
                breaker.failed()
            if breaker.is_open:
                raise OfflineError(error.message, hint=error.hint) from None
            raise
        finally:
            self._under_way.discard(scope)
        if scope.cancelled_caught:
            raise OfflineError(
                f"cannot {request.action}: it was given up to work offline",
                hint="to ask the service again: dmfs offline off",
            )

    def silent(self, url: str) -> None:
        """Whoever waited for the URL's host has used up a deadline, and not a byte came from it:
        it is looked at as after a refused connection."""
        self._of(url).failed()

    def is_away(self, url: str) -> bool:
        """Whether ``fetch`` of that URL would fail at once."""
        return self._of(url).is_open

    def suspect(self) -> None:
        """Something else is away; look at all hosts now."""
        for breaker in self._breakers.values():
            breaker.nudge()

    def _of(self, url: str) -> CircuitBreaker:
        split = urlsplit(url)
        origin = f"{split.scheme}://{split.netloc}"
        breaker = self._breakers.get(origin)
        if breaker is None:
            breaker = CircuitBreaker()
            breaker.force(self._forced)
            breaker.subscribe(on_open=self._on_open)
            if len(self._breakers) < HOSTS_WATCHED:
                self._breakers[origin] = breaker
                self._nursery.start_soon(breaker.watch, partial(self._reach, origin))
        return breaker


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""
