"""Knowing that the network is gone, once for all callers of an origin. Floor 1.

    closed  ── a conversation broke, and the probes that follow at once fail too ──▶ open
    open    ── every call fails at once; a probe with backoff ──▶ closed

The probe is a task of its own, so that no caller ever waits to find out, and one broken answer
never takes the drive away.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import trio

from dmfs.errors import OfflineError

log = logging.getLogger(__name__)

SUSPICION_PROBES = 2
"""The first may meet a connection that died with the others."""
SUSPICION_TIMEOUT_S = 0.8
SUSPICION_PAUSE_S = 0.2
"""Together 1.8 s at most: a lost network is known within 2 s of the first failure."""
PROBE_FIRST_S = 1.0
PROBE_FACTOR = 1.5
PROBE_MAX_S = 10.0
"""So long at most does it take to notice that the network is back; a probe is a kilobyte."""
PROBE_TIMEOUT_S = 5.0

Probe = Callable[[float], Awaitable[bool]]


class CircuitBreaker:
    """Of one origin. Nothing is ever suspected unless ``watch`` runs."""

    def __init__(self) -> None:
        self._open = False
        self._suspected = trio.Event()
        self._nudged = trio.Event()
        self.on_open: Callable[[], None] = lambda: None
        self.on_close: Callable[[], None] = lambda: None

    @property
    def is_open(self) -> bool:
        return self._open

    def check(self, what: str) -> None:
        """OfflineError at once while it is open."""
        if self._open:
            raise OfflineError(
                f"cannot {what}: the service cannot be reached",
                hint="no network? Going on with what is cached until it is back",
            )

    def failed(self) -> None:
        """A conversation broke, or was with somebody else (a captive portal)."""
        self._suspected.set()

    def nudge(self) -> None:
        """Something changed (the machine woke up): look now."""
        self._suspected.set()
        self._nudged.set()

    async def watch(self, probe: Probe) -> None:
        """Follow up suspicions, and probe while it is open; for ever."""
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
        self._open = True
        self.on_open()
        wait_s = PROBE_FIRST_S
        while True:
            self._nudged = trio.Event()
            with trio.move_on_after(wait_s):
                await self._nudged.wait()
            if await probe(PROBE_TIMEOUT_S):
                break
            wait_s = min(wait_s * PROBE_FACTOR, PROBE_MAX_S)
        log.info("the service can be reached again")
        self._open = False
        self.on_close()
