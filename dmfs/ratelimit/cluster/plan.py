"""What a machine may call, with the coordinator and without it. Pure.

With it: at most the limit in any window, of all machines together. Without it each machine has an
equal share of what was left when it looked last, and of what becomes free from then on:

    (limit - calls that are known to count still) / workers

The sum over all machines is then at most the limit, if there are no more of them than ``workers``
and all saw the same calls. After a window it is limit / workers each.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from dmfs.ratelimit.limits import Rate

CLUSTER_MARGIN_S = 1.0
"""Calls count so much longer than on one machine: a grant is up to GRANT_GOOD_S old when its call
goes, and two machines know the coordinator's time to half a round trip. Costs 1.6 % of the rate."""
GRANT_GOOD_S = 0.5
"""A grant that is older is let go: its call would count from a moment that has passed."""
SETTLE_S = 9.0
"""A coordinator that lost its memory is believed after so long: by then every machine has told it
what was called without it (they ask every RETRY_MAX_S at the latest, and wait 1 s)."""
GUARD_S = 2.0
"""At the end of that nobody calls for so long: what was called last is told meanwhile."""
RETRY_FIRST_S, RETRY_MAX_S = 0.5, 4.0
LOOK_S = 1.0
BEAT_S = 2.0
"""Between two looks of an idle process: what was granted since its last one, it does not know when
the coordinator goes away."""
ASK_PAUSE_S = 0.2
"""Of a process whose call was refused: five questions a second at most."""
FORGOT_S = 0.3
"""Within CLUSTER_MARGIN_S. A clock that is set by less makes calls count too short by as much."""
SAME_S = 0.002
"""The same call, by two readings of the server's clock."""
SKEW_S = 1.0
"""A machine's clock that is further off is worth a word; no decision rests on it."""


def cluster_rate(rate: Rate) -> Rate:
    """The rate as it is kept among machines: the library counts in whole seconds."""
    span_s = math.ceil(rate.span_s + CLUSTER_MARGIN_S)
    return Rate(rate.limit, rate.window_s + span_s - rate.span_s)


def share(rate: Rate, known: Sequence[float], workers: int, now: float) -> int:
    """Calls that this machine may make without the coordinator in a window that ends now; those
    that it made so count against it. ``known``: calls that the coordinator knew of, oldest
    first. ``rate`` is that of ``cluster_rate``."""
    counting = len(known) - bisect_right(known, now - rate.span_s)
    return max(0, rate.limit - counting) // max(1, workers)


def share_grows_in_s(rate: Rate, known: Sequence[float], workers: int, now: float) -> float:
    """Seconds until ``share`` is larger by one; a window if nothing is known that could end."""
    gone = bisect_right(known, now - rate.span_s)
    left = rate.limit - (len(known) - gone)
    missing = workers - left % workers if left >= 0 else workers - left
    if gone + missing > len(known):
        return rate.span_s
    return max(0.0, known[gone + missing - 1] + rate.span_s - now)


def with_granted(seen: Sequence[float], before: Sequence[float], began: float) -> list[float]:
    """What a look that ``began`` then has ``seen``, with what was granted here after it was
    answered: of what was known ``before``, the calls that are newer than all of it."""
    newest = max(began, seen[-1] + SAME_S) if seen else began
    return [*seen, *before[bisect_right(before, newest) :]]


class Phase(NamedTuple):
    """What holds after contact with a coordinator."""

    may_share: bool
    """Its log is complete: ask it. Else each machine keeps to its share."""
    may_call: bool
    again_s: float
    """Until the next phase; 0 if there is none."""


def phase(age_s: float) -> Phase:
    """Of a coordinator whose memory began so long ago, by its own clock."""
    if age_s >= SETTLE_S or age_s < 0:
        return Phase(may_share=True, may_call=True, again_s=0.0)
    if age_s >= SETTLE_S - GUARD_S:
        return Phase(may_share=False, may_call=False, again_s=SETTLE_S - age_s)
    return Phase(may_share=False, may_call=True, again_s=SETTLE_S - GUARD_S - age_s)


class ServerClock:
    """The coordinator's time by a clock of this machine that nobody sets."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=8)

    def add(self, before: float, server: float, after: float) -> bool:
        """The coordinator said ``server`` between two moments of the own clock. Return whether it
        was set forward since: its window forgot calls that count still."""
        offset, doubt = server - (before + after) / 2, (after - before) / 2
        forgot = bool(self._samples) and all(
            offset - each > doubt + other + FORGOT_S for other, each in self._samples
        )
        while self._samples and not any(
            abs(offset - each) <= doubt + other + 0.05 for other, each in self._samples
        ):
            self._samples.clear()  # its clock was set
        self._samples.append((doubt, offset))
        return forgot

    @property
    def offset_s(self) -> float:
        """Its time less the own clock's; that of the quickest of the last answers."""
        return min(self._samples)[1] if self._samples else 0.0
