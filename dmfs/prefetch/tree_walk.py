"""Programs that walk the tree: recognised by the order of their opens, and the directories that
they open next. Pure.

`find`, `rsync`, `du`, `grep -r` open a directory, then the directories in it, and so on, each as
soon as they have the answer for the last one. A user takes longer, and stops.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

import cachetools

N = TypeVar("N", bound=Hashable)

PAUSE_S = 1.0
"""A walker opens the next directory as soon as it has listed the last; a user needs longer."""
STOP_S = 2.0
"""After so long without an open (`-exec` may delay the walker) the prefetch starts no listing."""
OPENS = 3
"""Opens that make a walk: two opens trigger nothing."""
DESCENT_OPENS = 4
"""The same if each directory lies in the last one: a user may be going down a path."""
WALKS = 4
"""Walkers recognised at a time."""
VISITS_MAX = 512
"""Known directories searched for unknown ones at a time; takes 0.3 ms."""

Parents = Sequence[N]
"""A directory after its ancestors, the highest first."""
Inside = Callable[[N], dict[N, Any] | None]
"""The directories in a directory, in listing order, the same object as long as the listing is the
same; None if it is unknown."""
ORDERS_MAX = 16
"""Folders whose order is kept: those that the walks are in."""


class _Order(NamedTuple, Generic[N]):
    """The directories of one listing, by number and by name."""

    within: dict[N, Any]
    names: list[N]
    places: dict[N, int]


class Orders(Generic[N]):
    """The places of directories in their folders. Each step of a walk asks for one: counted anew, a
    walk through a folder of n directories took n² steps."""

    def __init__(self) -> None:
        self._by_folder: cachetools.LRUCache[N, _Order[N]] = cachetools.LRUCache(ORDERS_MAX)

    def place(self, folder: N, within: dict[N, Any], child: N) -> int | None:
        """Where in its folder a directory is."""
        return self._order(folder, within).places.get(child) if child in within else None

    def beyond(
        self, folder: N, within: dict[N, Any], child: N | None, *, backwards: bool
    ) -> Iterable[N]:
        """The directories of a folder that a walker opens after ``child``; all without one."""
        if child is None or child not in within:
            return reversed(within) if backwards else within
        order = self._order(folder, within)
        at = order.places[child]
        numbers = range(at - 1, -1, -1) if backwards else range(at + 1, len(order.names))
        return (order.names[number] for number in numbers)

    def _order(self, folder: N, within: dict[N, Any]) -> _Order[N]:
        order = self._by_folder.get(folder)
        if order is None or order.within is not within:
            names = list(within)
            order = _Order(within, names, {name: number for number, name in enumerate(names)})
            self._by_folder[folder] = order
        return order


@dataclass(eq=False)
class Walk(Generic[N]):
    """One walker."""

    top: N
    last: Parents[N]
    answered_at: float
    opened: set[N] = field(default_factory=set, repr=False)
    ahead: set[N] = field(default_factory=set, repr=False)
    """Prefetched for it and not opened yet."""
    waiting: int = 0
    branched: bool = False
    """It opened two directories of which neither lies in the other."""
    backwards: bool = False
    deepest: int | None = None
    """Levels below ``top`` that it opens; None unless it skipped directories that lie deeper."""
    level_by_level: bool = False
    """It came back for directories that it had skipped."""

    @property
    def recognised(self) -> bool:
        return len(self.opened) >= (OPENS if self.branched else DESCENT_OPENS)

    def alive(self, now: float) -> bool:
        return self.waiting > 0 or now - self.answered_at < STOP_S

    def depth(self, chain: Parents[N]) -> int:
        return len(chain) - 1 - list(chain).index(self.top)


class WalkPlanner(Generic[N]):
    """Opens of directories → walks."""

    def __init__(self, inside: Inside[N]) -> None:
        self._inside = inside
        self._walks: list[Walk[N]] = []
        self._orders: Orders[N] = Orders()

    def on_open(self, chain: Parents[N], now: float) -> Walk[N]:
        """A program opens the directory at the end of ``chain``; ``on_answer`` must follow."""
        walk = self._walk_of(chain, now)
        if walk is None:
            walk = Walk(chain[-1], chain, now)
            self._walks.append(walk)
            del self._walks[:-WALKS]
        else:
            self._update(walk, chain)
            self._walks.remove(walk)
            self._walks.append(walk)
        walk.last = chain
        walk.opened.add(chain[-1])
        walk.ahead.discard(chain[-1])
        walk.waiting += 1
        return walk

    @staticmethod
    def on_answer(walk: Walk[N], now: float) -> None:
        walk.waiting -= 1
        walk.answered_at = now

    def _walk_of(self, chain: Parents[N], now: float) -> Walk[N] | None:
        for walk in reversed(self._walks):
            quick = walk.waiting > 0 or now - walk.answered_at < PAUSE_S
            if quick and walk.top in chain:
                return walk
        return None

    def _update(self, walk: Walk[N], chain: Parents[N]) -> None:
        """Update a walk from the step between its last directory and this one."""
        before, here = walk.last, chain[-1]
        if before[-1] in chain:
            return
        walk.branched = True
        level = 0
        for level, (a, b) in enumerate(zip(before, chain, strict=False)):
            if a != b:
                folder = before[level - 1]
                within = self._inside(folder) or {}
                places = [self._orders.place(folder, within, each) for each in (a, b)]
                if places[0] is not None and places[1] is not None:
                    walk.backwards = places[1] < places[0]
                break
        depth = walk.depth(chain)
        if walk.deepest is not None and depth > walk.deepest:
            walk.deepest, walk.level_by_level = None, True
        skipped = [each for each in self._inside(before[-1]) or () if each not in walk.opened]
        if skipped and here not in skipped and not walk.level_by_level:
            walk.deepest = max(walk.depth(before), walk.deepest or 0)

    def upcoming(self, walk: Walk[N]) -> Iterator[N]:
        """Unknown directories in the order in which the walker will open them.

        First those in the last directory, then those after it in its parent, then those after the
        parent, up to the top of the walk. Visits at most VISITS_MAX directories.
        """
        visits = _Visits()
        limit = walk.deepest
        top = list(walk.last).index(walk.top) if walk.top in walk.last else len(walk.last) - 1
        path = list(walk.last)[top:]
        for level in range(len(path) - 1, -1, -1):
            within = self._inside(path[level])
            if within is None or (limit is not None and level + 1 > limit):
                continue
            here = path[level + 1] if level + 1 < len(path) else None
            for child in self._orders.beyond(path[level], within, here, backwards=walk.backwards):
                if visits.left <= 0:
                    return
                yield from _below(child, level + 1, walk, self._inside, visits)


class _Visits:
    """What is left of VISITS_MAX."""

    left = VISITS_MAX


def _below(node: N, depth: int, walk: Walk[N], inside: Inside[N], visits: _Visits) -> Iterator[N]:
    visits.left -= 1
    within = inside(node)
    if within is None:
        yield node
        return
    if walk.deepest is not None and depth + 1 > walk.deepest:
        return
    for child in reversed(within) if walk.backwards else within:
        if visits.left <= 0:
            return
        yield from _below(child, depth + 1, walk, inside, visits)
