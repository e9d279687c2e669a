"""Which directory to look at next without being asked. Floor 0, pure.

What was looked at lately is watched: every 30 s what was used in the last five minutes, every five
minutes the rest of the last hour, as Autodesk's own desktop client does. One question at the
*watch post* of a directory (its project, whose listing carries the rollups of all that lies below)
tells of all changes below it, so posts are asked, not directories.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

RECENT_S = 300.0
LATELY_S = 3600.0
IDLE_CALLS_PER_MIN = 4
"""What an idle mount may cost; a question of several pages counts as that many."""
NEGLECTED_PERIOD_S = 300.0
"""One question in so long while nobody has touched the mount for an hour."""
DIRECTORIES_MAX = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Periods:
    """The setting ``poll``, in seconds; 0 turns watching off."""

    recent: float = 30.0
    other: float = 300.0


class PollSchedule:
    """Looks → the post to ask next."""

    def __init__(self, periods: Periods) -> None:
        self._periods = periods
        self._looked: OrderedDict[str, tuple[float, str, float]] = OrderedDict()
        self._asked: dict[str, float] = {}
        self._touched_at = float("-inf")
        self._next_at = float("-inf")

    def looked(self, directory: str, post: str, shortest_s: float, now: float) -> None:
        """Somebody asked for a directory. ``shortest_s``: what ``post`` may be asked at most."""
        self._looked[directory] = (now, post, shortest_s)
        self._looked.move_to_end(directory)
        while len(self._looked) > DIRECTORIES_MAX:
            self._looked.popitem(last=False)
        self._touched_at = now

    def due(self, now: float) -> tuple[str, list[str]] | None:
        """The post to ask now, and the directories below it to bring up to date after that."""
        if self._periods.recent <= 0 or now < self._next_at:
            return None
        best: tuple[float, str] | None = None
        for looked_at, post, shortest_s in self._looked.values():
            period_s = self._period(now - looked_at, shortest_s)
            overdue_s = now - self._asked.get(post, looked_at) - period_s
            if overdue_s >= 0 and (best is None or (overdue_s, post) > best):
                best = overdue_s, post
        if best is None:
            return None
        within = [name for name, (at, post, _) in self._looked.items()
                  if post == best[1] and now - at < LATELY_S]  # fmt: skip
        return best[1], within

    def _period(self, age_s: float, shortest_s: float) -> float:
        recent = age_s < RECENT_S
        return max(self._periods.recent if recent else self._periods.other, shortest_s)

    def asked(self, post: str, calls: int, now: float) -> None:
        """The post was asked, at the cost of so many calls."""
        self._asked[post] = now
        for gone in self._asked.keys() - {p for _, p, _ in self._looked.values()}:
            del self._asked[gone]
        if now - self._touched_at >= LATELY_S:
            self._next_at = now + NEGLECTED_PERIOD_S * max(calls, 1)
        else:
            self._next_at = now + 60.0 / IDLE_CALLS_PER_MIN * max(calls, 1)
