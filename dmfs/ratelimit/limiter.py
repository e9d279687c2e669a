"""The rate limiter in front of every API call.

Autodesk publishes its rates per client id and endpoint; all users of that id share them. The
processes of this machine therefore share one log of calls, and a 429 (caused by somebody else's
calls) stops all of them instead of each running into it. Within a process, calls go in the order
of their priority; speculation without a reason leaves the queue.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

import trio

from dmfs.errors import BusyError, SpeculationDropped
from dmfs.ratelimit.limits import SHARED_QUOTA, Priority, Rate
from dmfs.ratelimit.priority import RequestPriority, current_priority, explicit_priority
from dmfs.ratelimit.shared_log import MemoryRateLog, RateLog
from dmfs.ratelimit.write_share import QUOTA as SHARED_WITH_READERS
from dmfs.ratelimit.write_share import WriteShare

DEFAULT_BACK_OFF_S = 5.0
"""For a 429 without Retry-After."""
RECHECK_S = 1.0
"""The longest sleep of a waiting call: other processes make calls too, and walks stop."""
YIELD_S = 0.05
"""Retry interval for callers not at the head of the queue …"""
YIELD_CALLS = 50
"""… of so many; it grows with the queue: each retry looks through all of it."""


class QuotaUse(NamedTuple):
    """How far one quota is used, now."""

    name: str
    used: int
    """Calls that count, of all processes of this client id on this machine."""
    limit: int
    window_s: float
    held_for_s: float
    """So long no call goes, after a 429."""
    waiting: int
    """Calls of this process that wait for their turn."""


class RateLimiter:
    """``acquire`` before each call, ``back_off`` after a 429. No rates: only the latter counts."""

    def __init__(
        self, rates: Mapping[str, Rate] | None = None, rate_log: RateLog | None = None
    ) -> None:
        self._rates = rates or {}
        self._log = rate_log or MemoryRateLog()
        self._numbers = itertools.count()
        self._queues: dict[str, dict[int, RequestPriority]] = {}
        self._write_share = WriteShare()
        self.counts: Counter[tuple[str, str]] = Counter()
        """Calls let through, by route and priority."""
        self._waits: Counter[str] = Counter()
        self._back_offs: Counter[str] = Counter()

    async def acquire(self, route: str, action: str) -> None:
        """Wait until ``route`` may be called. BusyError at once if the deadline comes first,
        SpeculationDropped when the call's reason has gone (``RequestPriority.wanted``)."""
        quota = SHARED_QUOTA.get(route, route)
        priority = explicit_priority() or RequestPriority(
            Priority.READ if quota == "oss" else current_priority().level
        )
        queue = self._queues.setdefault(quota, {})
        number = next(self._numbers)
        try:
            while (wait_s := await self._try(quota, number, priority)) > 0:
                self._waits[route] += number not in queue
                queue[number] = priority
                if priority.level < Priority.AHEAD:
                    refuse_if_late(wait_s, action)
                await priority.sleep(min(wait_s, RECHECK_S))
                if not priority.wanted:
                    raise SpeculationDropped(f"cannot {action}: nobody wants it any more")
        finally:
            queue.pop(number, None)
        self.counts[route, priority.level.name.lower()] += 1

    async def _try(self, quota: str, number: int, priority: RequestPriority) -> float:
        """0: the call may go. Else the seconds after which to try again."""
        mine = (priority.level, number)
        others = self._queues[quota].items()
        rate, level, held_s = self._rates.get(quota), priority.level, 0.0
        if quota == SHARED_WITH_READERS:
            # sizes that complete a listing must leave readers their part of the quota
            level = max(level, Priority.READ)
            self._write_share.seen(level, trio.current_time())
            held_s = self._write_share.wait_s(rate, trio.current_time()) if rate else 0.0
        passed = Priority.WRITE if held_s else None  # what its share stops stops nobody else
        is_head = not any((each.level, n) < mine and each.level != passed for n, each in others)
        if not is_head and priority.level > Priority.LOOKUP:
            return min(YIELD_S * (1 + len(others) / YIELD_CALLS), RECHECK_S)
        if level == passed:
            return held_s
        wait_s = await self._log.take(quota, rate, level)
        if wait_s <= 0 and level == Priority.WRITE and quota == SHARED_WITH_READERS:
            self._write_share.wrote(trio.current_time())
        return wait_s

    def back_off(self, route: str, retry_after_s: float | None) -> None:
        """A 429 came: let no call of ``route`` through before that time (None: unknown)."""
        wait_s = DEFAULT_BACK_OFF_S if retry_after_s is None else retry_after_s
        self._back_offs[route] += 1
        self._log.back_off(SHARED_QUOTA.get(route, route), wait_s)

    async def quotas(self) -> list[QuotaUse]:
        """Every quota that has a rate, in the order of the published ones. Never waits long."""
        return [
            QuotaUse(
                name, use.calls, self._rates[name].limit, self._rates[name].window_s,
                use.held_for_s, len(self._queues.get(name, ())),
            )
            for name, use in (await self._log.look(self._rates)).items()
        ]  # fmt: skip

    def sharing(self) -> dict[str, Any] | None:
        """Where the quotas are shared with other machines; None if they are not."""
        return self._log.sharing()

    def gauges(self) -> dict[str, int]:
        """By route: calls let through (by priority), calls that had to wait, and 429s."""
        found = {f"ratelimit.{route}.{level}": n for (route, level), n in self.counts.items()}
        found |= {f"ratelimit.{route}.waits": n for route, n in self._waits.items()}
        found |= {f"ratelimit.{route}.back_offs": n for route, n in self._back_offs.items()}
        return found | self._log.gauges()


def refuse_if_late(wait_s: float, action: str) -> None:
    """Raise BusyError now rather than sleep into a deadline that is sure to pass."""
    if trio.current_time() + wait_s >= trio.current_effective_deadline():
        error = BusyError(
            f"cannot {action}: the rate limit asks to wait {wait_s:.0f} s",
            hint="the rate limit of this app is used up; it refills within a minute",
        )
        error.retry_after_s = wait_s
        raise error
