"""How many bytes under way keep a link busy. Floor 0, pure: the clock's readings are handed in.

The bandwidth-delay product, estimated as TCP's BBR does (Cardwell et al., "BBR: Congestion-Based
Congestion Control", 2016): how fast bytes come in, times the least that a range took when it waited
for no other. Where latency or a limit on each connection is what slows a stream, more ranges come
in faster and the product grows with them; where the link or a processor is full they only take
longer, and it stays.
"""

from __future__ import annotations

import math
from collections import deque
from typing import NamedTuple

SAMPLES = 16
"""How fast: the upper quartile of the last so many ranges. One that was the first, or had to wait
for a connection, says too little; one that was asked for just before the loop heard of several
others at once says four times too much."""
SAMPLED_FROM_BYTES = 1024 * 1024
"""A smaller range tells how long the way is, not how wide."""


class Mark(NamedTuple):
    """The moment a range was asked for, and how much had come by then."""

    at_s: float
    bytes: int


class BandwidthDelay:
    """Of one object."""

    def __init__(self) -> None:
        self._bytes = 0
        self._rates: deque[float] = deque(maxlen=SAMPLES)
        self._least_s = math.inf

    @property
    def bdp_bytes(self) -> float:
        """Under way they keep the link busy, as far as is known; infinite while nothing is."""
        if not self._rates:
            return math.inf
        rates = sorted(self._rates)
        return rates[len(rates) * 3 // 4] * self._least_s

    def asked(self, now_s: float) -> Mark:
        """A range is asked for now."""
        return Mark(now_s, self._bytes)

    def came(self, mark: Mark, size_bytes: int, now_s: float) -> None:
        """Its last byte is there now. The rate is that of all ranges meanwhile."""
        self._bytes += size_bytes
        took_s = now_s - mark.at_s
        if size_bytes >= SAMPLED_FROM_BYTES and took_s > 0:
            self._least_s = min(self._least_s, took_s)
            self._rates.append((self._bytes - mark.bytes) / took_s)
