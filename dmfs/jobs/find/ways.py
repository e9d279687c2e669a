"""Whether folders that are not known are walked or searched: the cheaper. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

Way = Literal["walk", "search"]

FOLDERS_UNSEEN = 30
"""Of a folder of which nothing is known, with those below it."""
FOLDERS_AN_ENTRY = 4
"""For each entry of a folder that was never listed: most are files, and some begin a tree."""
PAGES, FOUND_IN, ABOVE = 1, 1, 3
"""What a search is expected to take: a page of hits, and to see one of them at its home: its folder
listed, those above it asked for, and listed for their names in the drive."""


class Quota(NamedTuple):
    """How often a route may be called, and how often it just was."""

    used: int
    limit: int
    window_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Cost:
    """Calls by route."""

    calls: Mapping[str, int]

    @property
    def total(self) -> int:
        """Of all routes."""
        return sum(self.calls.values())

    def least_s(self, quotas: Mapping[str, Quota]) -> float:
        """Seconds that the quotas make them last at least; routes go on beside each other."""
        waits = (
            max(0, quotas[route].used + count - quotas[route].limit)
            * quotas[route].window_s
            / max(1, quotas[route].limit)
            for route, count in self.calls.items()
            if count and route in quotas
        )
        return max(waits, default=0.0)


def folders_below(object_count: int | None) -> int:
    """Folders that a walk of an unknown folder is likely to list, itself among them."""
    return FOLDERS_UNSEEN if object_count is None else 1 + FOLDERS_AN_ENTRY * max(0, object_count)


def walk_cost(folders: int) -> Cost:
    """Of a walk over so many folders that are to be listed."""
    return Cost({"contents": folders})


def search_cost(confirmed: int = FOUND_IN) -> Cost:
    """Of a search whose hits lie in so many folders."""
    return Cost({"search": PAGES, "contents": confirmed + ABOVE, "folder": ABOVE})


def choose(walk: Cost, search: Cost | None, quotas: Mapping[str, Quota]) -> Way:
    """The way that takes less time, of equal ones that of fewer calls; a walk, which is exact,
    where both are equal. ``search``: None where it cannot be asked."""
    if search is None:
        return "walk"
    by_walk, by_search = (
        (cost.least_s(quotas), cost.total) for cost in (walk, search)
    )  # fmt: skip
    return "search" if by_search < by_walk else "walk"


def quotas_of(uses: Iterable[tuple[str, int, int, float]]) -> dict[str, Quota]:
    """From rows of name, calls, limit, seconds."""
    return {name: Quota(used, limit, window_s) for name, used, limit, window_s in uses}
