"""Who was kept away, and how often: a bounded count."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from dmfs.neighbours.table import Kind

PROGRAMS_MAX = 32
"""More of them than the table has are only there if a person adds so many: the rest are one."""
OTHERS = "others"


class Refused(NamedTuple):
    """Opens that one program was refused."""

    program: str
    kind: Kind
    times: int


@dataclass(slots=True)
class Refusals:
    """By program and kind. Ints, changed on the loop alone."""

    _counts: dict[tuple[str, Kind], int] = field(default_factory=dict)

    def count(self, program: str, kind: Kind) -> bool:
        """One more; whether it is the first one of this program."""
        key = program, kind
        if key not in self._counts and len(self._counts) >= PROGRAMS_MAX:
            key = OTHERS, kind
        first = key not in self._counts
        self._counts[key] = self._counts.get(key, 0) + 1
        return first

    def rows(self) -> list[Refused]:
        """The most refused first."""
        found = [Refused(*key, count) for key, count in self._counts.items()]
        return sorted(found, key=lambda each: (-each.times, each.program))
