"""How the bytes of a generation fall into parts. Pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

MIB = 1024**2
PART_BYTES = 8 * MIB
"""The least size of a part; up to so many bytes go up as one."""
PARTS_AIM = 2000
"""A larger file gets larger parts, not more: the storage takes 10 000."""
PART_MAX_BYTES = 5 * 1024**3
FILE_MAX_BYTES = 5 * 10**12
"""More the service does not take."""
URLS_MAX = 25
"""In one call."""


class Part(NamedTuple):
    """Bytes ``start`` to ``stop`` of the whole; numbers count from 1."""

    number: int
    start: int
    stop: int

    @property
    def length(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, slots=True)
class PartPlan:
    """All parts of one upload; fixed once the first is sent."""

    size_bytes: int
    part_bytes: int

    @property
    def count(self) -> int:
        """An empty file goes up as one empty part."""
        return max(1, -(-self.size_bytes // self.part_bytes))

    def part(self, number: int) -> Part:
        start = (number - 1) * self.part_bytes
        return Part(number, start, min(start + self.part_bytes, self.size_bytes))


def part_size(size_bytes: int) -> int:
    """Bytes of each part but the last."""
    in_mib = -(-size_bytes // (PARTS_AIM * MIB)) * MIB
    return min(max(PART_BYTES, in_mib), PART_MAX_BYTES)


def url_range(plan: PartPlan, number: int, accepted: Collection[int], ahead: int) -> range:
    """Numbers to get URLs for when that of ``number`` is needed: at most ``ahead`` and 25, up to
    the last part that was not accepted. The first call of a session asks for two at least where
    there are two: the key of a session of one URL cannot be used again."""
    last = number
    for each in range(number, min(number + max(1, min(ahead, URLS_MAX)), plan.count + 1)):
        if each not in accepted:
            last = each
    return range(number, last + 1)
