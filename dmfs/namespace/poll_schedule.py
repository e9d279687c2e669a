"""Which directory the drive polls next. Pure.

The drive polls directories that a program used lately: every 30 s those of the last five minutes,
every five minutes the rest of the last hour, as Autodesk's own desktop client does. It sends one
request to the *target* of a directory, which is its project: the project's listing shows the
rollups of everything below it, so one request finds all changes below.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cachetools

RECENT_S = 300.0
LATELY_S = 3600.0
IDLE_CALLS_PER_MIN = 4
"""Limit for an idle mount; a listing of several pages counts as several calls."""
UNUSED_PERIOD_S = 300.0
"""Between two calls while no program has used the mount for LATELY_S."""
DIRECTORIES_MAX = 256
NEVER = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """The settings ``poll`` and ``poll_others``, in seconds; 0 turns polling off."""

    recent: float = 30.0
    other: float = 300.0


class _Use(NamedTuple):
    """The last use of one directory."""

    at: float
    since: float
    """The first one. A target counts as polled then: one that is in use all the time has its first
    poll, too."""
    target: str
    min_period_s: float


class PollSchedule:
    """Uses of directories → the target to poll next. Times are seconds of the caller's clock."""

    def __init__(self, periods: Periods) -> None:
        self._periods = periods
        self._uses: cachetools.FIFOCache[str, _Use] = cachetools.FIFOCache(DIRECTORIES_MAX)
        """By directory, the least recent use first."""
        self._polled_at: dict[str, float] = {}
        self._used_at = self._next_at = NEVER

    def on_use(self, directory: str, target: str, min_period_s: float, now: float) -> None:
        """A program uses a directory. ``min_period_s``: shortest time between polls of
        ``target``."""
        before = self._uses.pop(directory, None)  # the order of values is that of insertion
        since = now if before is None else before.since
        self._uses[directory] = _Use(now, since, target, min_period_s)
        self._used_at = now

    def watch(self, directory: str, target: str, min_period_s: float) -> None:
        """Poll ``target`` although no program uses it: as one that was used long ago."""
        if directory not in self._uses:
            self._uses[directory] = _Use(NEVER, NEVER, target, min_period_s)

    def due(self, now: float) -> tuple[str, list[str]] | None:
        """The target to poll now, and the directories below it to refresh after that."""
        if self._periods.recent <= 0 or now < self._next_at:
            return None
        best: tuple[float, str] | None = None
        for use in self._uses.values():
            period_s = self._period(now - use.at, use.min_period_s)
            overdue_s = now - self._polled_at.get(use.target, use.since) - period_s
            if overdue_s >= 0 and (best is None or (overdue_s, use.target) > best):
                best = overdue_s, use.target
        if best is None:
            return None
        within = [
            directory
            for directory, use in self._uses.items()
            if use.target == best[1] and now - use.at < LATELY_S
        ]
        return best[1], within

    def _period(self, age_s: float, min_period_s: float) -> float:
        recent = age_s < RECENT_S
        return max(self._periods.recent if recent else self._periods.other, min_period_s)

    def on_polled(self, target: str, calls: int, now: float) -> None:
        """The drive polled ``target`` with so many calls."""
        self._polled_at[target] = now
        for stale in self._polled_at.keys() - {use.target for use in self._uses.values()}:
            del self._polled_at[stale]
        if now - self._used_at >= LATELY_S:
            self._next_at = now + UNUSED_PERIOD_S * max(calls, 1)
        else:
            self._next_at = now + 60.0 / IDLE_CALLS_PER_MIN * max(calls, 1)
