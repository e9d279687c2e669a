"""How long ranges take lately, and when one is suspiciously late. Floor 0, pure.

A connection that limps while its neighbours run is better given up: the bytes that came are kept
and the rest is asked for on another one. (gcsfuse does the same at the 99th percentile, never
below 1.5 s.)
"""

from __future__ import annotations

from collections import deque

SAMPLES = 100
SAMPLES_NEEDED = 20
FLOOR_S = 1.5
MARGIN = 2.0
"""A late range is one that takes twice as long as the slowest hundredth of the recent ones."""
NEVER = float("inf")


class StragglerDetector:
    """Durations of recent ranges, in seconds per full range, by class of size."""

    def __init__(self) -> None:
        self._taken: dict[int, deque[float]] = {}

    def record(self, size_bytes: int, duration_s: float) -> None:
        """A range arrived whole."""
        self._taken.setdefault(_class(size_bytes), deque(maxlen=SAMPLES)).append(duration_s)

    def timeout_s(self, size_bytes: int) -> float:
        """Seconds after which a range of this size is late; NEVER while too little is known."""
        taken = self._taken.get(_class(size_bytes))
        if taken is None or len(taken) < SAMPLES_NEEDED:
            return NEVER
        slowest = sorted(taken)[min(len(taken) - 1, len(taken) * 99 // 100)]
        return max(FLOOR_S, slowest * MARGIN)


def _class(size_bytes: int) -> int:
    """Sizes within a factor of two are compared with each other."""
    return size_bytes.bit_length()
