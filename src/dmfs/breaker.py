"""Knowing that the network is gone, once for all callers of an origin. Floor 1.

    closed ── failures, with no success between them, for a while ──▶ open
    open   ── every call fails at once; a probe with backoff ──▶ closed

The probe is a task of its own, so that no caller ever waits to find out.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from dmfs.errors import OfflineError

log = logging.getLogger(__name__)

FAILURES = 3
"""One broken connection is an accident, and its retry may meet another."""
SPREAD_S = 0.3
"""A blip resets all connections at one moment; only failures that go on for a while count. With
the first retries after 0.25 to 0.5 and 0.5 to 1 s the third failure comes within 1.5 s."""
FORGET_S = 60.0
"""Failures this far apart have nothing to do with each other."""
PROBE_FIRST_S = 1.0
PROBE_FACTOR = 1.5
PROBE_MAX_S = 10.0
"""So long at most does it take to notice that the network is back; a probe is a kilobyte."""


class Breaker:
    """Of one origin. ``watch`` must run for an open one to close again without a caller."""

    def __init__(self) -> None:
        self._failures = 0
        self._first_at = 0.0
        self._last_at = 0.0
        self._opened = trio.Event()
        self._nudged = trio.Event()
        self._watched = False
        self.on_close: Callable[[], None] = lambda: None

    @property
    def is_open(self) -> bool:
        return self._opened.is_set()

    def check(self, what: str) -> None:
        """OfflineError at once while it is open."""
        if self.is_open:
            raise OfflineError(
                f"cannot {what}: the service cannot be reached",
                hint="working offline with what is cached; this ends by itself",
            )

    def failed(self) -> None:
        """A conversation broke, or was with somebody else (a captive portal)."""
        now = trio.current_time()
        if self._failures == 0 or now - self._last_at > FORGET_S:
            self._failures, self._first_at = 0, now
        self._failures += 1
        self._last_at = now
        long_enough = now - self._first_at >= SPREAD_S
        if self._failures >= FAILURES and long_enough and self._watched and not self.is_open:
            log.warning("the service cannot be reached; going on with what is cached")
            self._opened.set()

    def worked(self) -> None:
        """The service answered, whatever it said."""
        self._failures = 0
        if self.is_open:
            log.warning("the service can be reached again")
            self._opened = trio.Event()
            self._nudged.set()
            self.on_close()

    def nudge(self) -> None:
        """Something changed (the machine woke up): look now."""
        self._nudged.set()

    async def watch(self, probe: Callable[[], Awaitable[bool]]) -> None:
        """Probe while it is open; for ever."""
        self._watched = True
        while True:
            await self._opened.wait()
            wait_s = PROBE_FIRST_S
            while self.is_open:
                self._nudged = trio.Event()
                with trio.move_on_after(wait_s):
                    await self._nudged.wait()
                if self.is_open and await probe():
                    self.worked()
                wait_s = min(wait_s * PROBE_FACTOR, PROBE_MAX_S)
