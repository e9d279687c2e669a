"""How often the service may be asked, and who goes first. Floor 1.

The published rates are per client id and per endpoint, shared by everybody who uses that id: the
processes of this machine keep one ledger, and a 429 (somebody else's calls) holds back all of them
instead of each running into the wall. Within a process, who is in more of a hurry goes first;
speculation that nobody wants any more leaves the queue.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping

import trio

from dmfs.errors import BusyError, SpeculationDropped
from dmfs.ratelimit.limits import SHARED_QUOTA, Priority, Rate
from dmfs.ratelimit.priority import RequestPriority, current_priority, explicit_priority
from dmfs.ratelimit.shared_log import MemoryRateLog, RateLog

DEFAULT_HOLD_S = 5.0
"""For a 429 without Retry-After."""
LOOK_AGAIN_S = 1.0
"""Who waits looks again at least this often: other processes take and give, and walks stop."""
YIELD_S = 0.05
"""Who is not first in the queue lets the first one try."""


class RateLimiter:
    """Gate in front of every call."""

    def __init__(
        self, rates: Mapping[str, Rate] | None = None, ledger: RateLog | None = None
    ) -> None:
        self._rates = rates or {}
        self._ledger = ledger or MemoryRateLog()
        self._numbers = itertools.count()
        self._waiting: dict[str, dict[int, RequestPriority]] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        """Calls let through, by endpoint and cause: what a status display shows."""

    async def acquire(self, route: str, what: str) -> None:
        """Wait until ``route`` may be asked; BusyError at once if the deadline comes first, and
        SpeculationDropped when it was speculation that nobody wants any more."""
        quota = SHARED_QUOTA.get(route, route)
        asker = explicit_priority() or RequestPriority(
            Priority.READ if quota == "oss" else current_priority().level
        )
        queue = self._waiting.setdefault(quota, {})
        number = next(self._numbers)
        try:
            while (wait_s := await self._try(quota, number, asker)) > 0:
                queue[number] = asker
                if asker.level < Priority.AHEAD:
                    refuse_if_late(wait_s, what)
                await asker.sleep(min(wait_s, LOOK_AGAIN_S))
                if not asker.wanted:
                    raise SpeculationDropped(f"cannot {what}: nobody wants it any more")
        finally:
            queue.pop(number, None)
        self.counts[route, asker.level.name.lower()] += 1

    async def _try(self, quota: str, number: int, asker: RequestPriority) -> float:
        """0: it may go. Else the seconds after which to try again."""
        mine = (asker.level, number)
        ahead_of_us = any((other.level, n) < mine for n, other in self._waiting[quota].items())
        if ahead_of_us and asker.level > Priority.LOOKUP:
            return YIELD_S
        # who waits for a size to complete a listing must not use up what readers live on
        level = max(asker.level, Priority.READ) if quota == "oss" else asker.level
        return await self._ledger.take(quota, self._rates.get(quota), level)

    def hold(self, route: str, retry_after_s: float | None) -> None:
        """A 429 came: nobody asks ``route`` before that time."""
        wait_s = DEFAULT_HOLD_S if retry_after_s is None else retry_after_s
        self._ledger.hold(SHARED_QUOTA.get(route, route), wait_s)


def refuse_if_late(wait_s: float, what: str) -> None:
    """Raise BusyError now rather than sleep into a deadline that is sure to pass."""
    if trio.current_time() + wait_s >= trio.current_effective_deadline():
        raise BusyError(
            f"cannot {what}: the rate limit asks to wait {wait_s:.0f} s",
            hint="the rate limit of this app is used up; it refills within a minute",
        )
