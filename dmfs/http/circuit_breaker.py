"""A circuit breaker: one place that knows whether an origin can be reached.

    closed  ── a call failed, and the probes that follow at once fail too ──▶ open
    open    ── every call fails at once; probes with backoff ──▶ closed
    forced  ── a person wants it open: no probe closes it, and none is sent

The probes run in a task of their own: no caller waits for them, and one broken response does not
open the breaker.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

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
        self._released: trio.Event | None = None
        """Set when it is no longer forced; None while it is not."""
        self.changed_at_s = wall_time_s()
        """When it opened or closed last; when the drive began."""
        self._suspected = trio.Event()
        self._nudged = trio.Event()
        self._on_open: list[Listener] = []
        self._on_close: list[Listener] = []

    @property
    def is_open(self) -> bool:
        return self._open or self.forced

    @property
    def forced(self) -> bool:
        """Whether a person wants it open."""
        return self._released is not None

    def force(self, on: bool) -> None:
        """Open it until ``force(False)``, which closes it unless the origin was away before; either
        way a probe finds out at once. Listeners are called here. Twice the same does nothing."""
        with self._changing():
            if on and self._released is None:
                self._released = trio.Event()
            elif not on and self._released is not None:
                self._released.set()
                self._released = None
                self.nudge()

    def subscribe(
        self, *, on_open: Listener | None = None, on_close: Listener | None = None
    ) -> None:
        """Call these with each opening and closing from now on, in the task of ``watch`` or of
        ``force``."""
        self._on_open += [on_open] if on_open else []
        self._on_close += [on_close] if on_close else []

    def check(self, action: str) -> None:
        """OfflineError at once while it is open."""
        if self.forced:
            raise OfflineError(
                f"cannot {action}: this drive was asked to work offline",
                hint="to ask the service again: dmfs offline off",
            )
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
            await self._leave()
            if await probe(SUSPICION_TIMEOUT_S):
                return False
        return True

    async def _stay_open(self, probe: Probe) -> None:
        log.info("the service cannot be reached; going on with what is cached")
        with self._changing():
            self._open = True
        wait_s = PROBE_FIRST_S
        while True:
            self._nudged = trio.Event()
            with trio.move_on_after(wait_s):
                await self._nudged.wait()
            await self._leave()
            if await probe(PROBE_TIMEOUT_S) and not self.forced:
                break
            wait_s = min(wait_s * PROBE_FACTOR, PROBE_MAX_S)
        log.info("the service can be reached again")
        with self._changing():
            self._open = False

    async def _leave(self) -> None:
        """Wait while it is forced: who works offline wants no traffic."""
        while self._released is not None:
            await self._released.wait()

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Tell the listeners if the body opens or closes it."""
        was_open = self.is_open
        yield
        if self.is_open != was_open:
            self.changed_at_s = wall_time_s()
            for listener in self._on_open if self.is_open else self._on_close:
                listener()
