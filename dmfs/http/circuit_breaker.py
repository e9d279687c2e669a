"""A circuit breaker: one place that knows whether an origin can be reached.

    closed  ── a call failed, and the probes that follow at once fail too ──▶ open
    open    ── every call fails at once; probes with backoff ──▶ closed

The probes run in a task of their own: no caller waits for them, and one broken response does not
open the breaker.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from dmfs.errors import OfflineError
from dmfs.system.clock import wall_time_s

log = logging.getLogger(__name__)

SUSPICION_PROBES = 2
"""The first may meet a connection that died with the others."""
SUSPICION_TIMEOUT_S = 0.8
SUSPICION_PAUSE_S = 0.2
"""Together 1.8 s at most: the breaker opens within 2 s of the first failure."""
PROBE_FIRST_S = 1.0
PROBE_FACTOR = 1.5
PROBE_MAX_S = 10.0
"""The longest that a network that is back goes unnoticed; a probe is a kilobyte."""
PROBE_TIMEOUT_S = 5.0

Probe = Callable[[float], Awaitable[bool]]
"""Whether the origin answers within so many seconds."""
Listener = Callable[[], None]


class CircuitBreaker:
    """Of one origin. It opens only while ``watch`` runs."""

    def __init__(self) -> None:
        self._open = False
        self.changed_at_s = wall_time_s()
        """When it opened or closed last; when the drive began."""
        self._suspected = trio.Event()
        self._nudged = trio.Event()
        self._on_open: list[Listener] = []
        self._on_close: list[Listener] = []

    @property
    def is_open(self) -> bool:
        return self._open

    def subscribe(
        self, *, on_open: Listener | None = None, on_close: Listener | None = None
    ) -> None:
        """Call these with each opening and closing from now on, in the task of ``watch``."""
        self._on_open += [on_open] if on_open else []
        self._on_close += [on_close] if on_close else []

    def check(self, action: str) -> None:
        """OfflineError at once while it is open."""
        if self._open:
            raise OfflineError(
                f"cannot {action}: the service cannot be reached",
                hint="no network? Going on with what is cached until it is back",
            )

    def failed(self) -> None:
        """A call got no response, or one from something else (a captive portal)."""
        self._suspected.set()

    def nudge(self) -> None:
        """Something changed (the machine woke up): probe now."""
        self._suspected.set()
        self._nudged.set()

    async def watch(self, probe: Probe) -> None:
        """Probe after failures and while it is open; for ever."""
        while True:
            await self._suspected.wait()
            if await self._confirmed(probe):
                await self._stay_open(probe)
            self._suspected = trio.Event()

    async def _confirmed(self, probe: Probe) -> bool:
        for number in range(SUSPICION_PROBES):
            if number:
                await trio.sleep(SUSPICION_PAUSE_S)
            if await probe(SUSPICION_TIMEOUT_S):
                return False
        return True

    async def _stay_open(self, probe: Probe) -> None:
        log.info("the service cannot be reached; going on with what is cached")
        self._open, self.changed_at_s = True, wall_time_s()
        for listener in self._on_open:
            listener()
        wait_s = PROBE_FIRST_S
        while True:
            self._nudged = trio.Event()
            with trio.move_on_after(wait_s):
                await self._nudged.wait()
            if await probe(PROBE_TIMEOUT_S):
                break
            wait_s = min(wait_s * PROBE_FACTOR, PROBE_MAX_S)
        log.info("the service can be reached again")
        self._open, self.changed_at_s = False, wall_time_s()
        for listener in self._on_close:
            listener()
