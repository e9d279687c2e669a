"""Statistics of recent ranges: when one is late, and how many bytes under way keep a link busy.

Pure: the caller reads the clock.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

DURATIONS = 100
DURATIONS_NEEDED = 20
LATE_LEAST_S = 1.5
LATE_FACTOR = 2.0
"""A late range takes twice as long as the slowest hundredth of the recent ones. (gcsfuse does the
same at the 99th percentile, never below 1.5 s.)"""
NEVER = float("inf")

RATES = 16
"""The upper quartile of so many counts: the first range, or one that waited for a connection, shows
too little; one requested just before several others landed shows four times too much."""
SAMPLED_FROM_BYTES = 1024 * 1024
"""A smaller range shows how long the way is, not how wide."""


class StragglerDetector:
    """Durations of recent ranges, by class of size.

    A connection that limps while its neighbours run is better given up: the bytes that came stay,
    and the rest is fetched on another one.
    """

    def __init__(self) -> None:
        self._durations: dict[int, deque[float]] = {}

    def record(self, size_bytes: int, duration_s: float) -> None:
        """A range arrived whole."""
        durations = self._durations.setdefault(_size_class(size_bytes), deque(maxlen=DURATIONS))
        durations.append(duration_s)

    def timeout_s(self, size_bytes: int) -> float:
        """Seconds after which a range of this size is late; NEVER while too little is known."""
        durations = self._durations.get(_size_class(size_bytes))
        if durations is None or len(durations) < DURATIONS_NEEDED:
            return NEVER
        slowest = sorted(durations)[min(len(durations) - 1, len(durations) * 99 // 100)]
        return max(LATE_LEAST_S, slowest * LATE_FACTOR)


def _size_class(size_bytes: int) -> int:
    """Sizes within a factor of two are compared with each other."""
    return size_bytes.bit_length()


class Mark(NamedTuple):
    """The moment a range was requested, and how much had arrived by then."""

    at_s: float
    bytes: int


class BandwidthDelay:
    """The bandwidth-delay product of one object's stream.

    Estimated as TCP's BBR does (Cardwell et al., "BBR: Congestion-Based Congestion Control", 2016):
    the rate at which bytes arrive, times the least time that a range took when it waited for no
    other. Where latency or a limit on each connection slows a stream, more ranges arrive faster and
    the product grows with them; where the link or a processor is full they only take longer, and it
    stays.
    """

    def __init__(self) -> None:
        self._bytes = 0
        self._rates: deque[float] = deque(maxlen=RATES)
        self._least_s = math.inf

    @property
    def bdp_bytes(self) -> float:
        """So many bytes under way keep the link busy; infinite while nothing is known."""
        if not self._rates:
            return math.inf
        rates = sorted(self._rates)
        return rates[len(rates) * 3 // 4] * self._least_s

    def requested(self, now_s: float) -> Mark:
        """A range is requested now."""
        return Mark(now_s, self._bytes)

    def arrived(self, mark: Mark, size_bytes: int, now_s: float) -> None:
        """Its last byte is there now. The rate is that of all ranges meanwhile."""
        self._bytes += size_bytes
        duration_s = now_s - mark.at_s
        if size_bytes >= SAMPLED_FROM_BYTES and duration_s > 0:
            self._least_s = min(self._least_s, duration_s)
            self._rates.append((self._bytes - mark.bytes) / duration_s)
