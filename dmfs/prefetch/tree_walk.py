"""Programs that walk the tree: recognised by the order in which they open directories, and what
they will open next. Floor 0, pure.

`find`, `rsync`, `du`, `grep -r` open a directory, then those in it, then those in these, each as
soon as the last one was answered. A person takes longer, and stops.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

N = TypeVar("N", bound=Hashable)

PAUSE_S = 1.0
"""A walker opens the next directory as soon as it has seen the last; a person needs longer."""
STOP_S = 2.0
"""Without a sign of the walker for so long (`-exec` may keep it busy), nothing more is begun."""
OPENS = 3
"""Directories that make a walk: who lists two triggers nothing."""
DESCENT_OPENS = 4
"""The same where each lies in the last one: somebody may be going down a path."""
WALKS = 4
"""Walkers told apart at a time."""
VISITS_MAX = 512
"""Known directories looked through for unknown ones at a time; takes 0.3 ms."""

Parents = Sequence[N]
"""A directory with its ancestors, the highest first."""
Inside = Callable[[N], Collection[N] | None]
"""The directories in a directory, in listing order; None where it would have to be listed."""


@dataclass(eq=False)
class Walk(Generic[N]):
    """One walker."""

    top: N
    last: Parents[N]
    answered_at: float
    opened: set[N] = field(default_factory=set, repr=False)
    ahead: set[N] = field(default_factory=set, repr=False)
    """Listed for it and not opened yet."""
    waiting: int = 0
    branched: bool = False
    """It has opened two directories of which neither lies in the other."""
    backwards: bool = False
    deepest: int | None = None
    """Levels below ``top`` that it cares for, where it was seen to pass by what lies deeper."""
    tireless: bool = False
    """It came back for what it had passed by: it goes level by level."""

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

    def on_open(self, chain: Parents[N], now: float) -> Walk[N]:
        """A directory is about to be listed; ``on_answer`` must follow."""
        walk = self._walk_of(chain, now)
        if walk is None:
            walk = Walk(chain[-1], chain, now)
            self._walks.append(walk)
            del self._walks[:-WALKS]
        else:
            self._learn(walk, chain)
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

    def _learn(self, walk: Walk[N], chain: Parents[N]) -> None:
        """What the step from the last directory to this one tells."""
        before, here = walk.last, chain[-1]
        if before[-1] in chain:
            return
        walk.branched = True
        level = 0
        for level, (a, b) in enumerate(zip(before, chain, strict=False)):
            if a != b:
                siblings = list(self._inside(before[level - 1]) or ())
                if a in siblings and b in siblings:
                    walk.backwards = siblings.index(b) < siblings.index(a)
                break
        depth = walk.depth(chain)
        if walk.deepest is not None and depth > walk.deepest:
            walk.deepest, walk.tireless = None, True
        left_out = [each for each in self._inside(before[-1]) or () if each not in walk.opened]
        if left_out and here not in left_out and not walk.tireless:
            walk.deepest = max(walk.depth(before), walk.deepest or 0)


def upcoming(walk: Walk[N], inside: Inside[N]) -> Iterator[N]:
    """Unknown directories in the order in which the walker will want them.

    What lies in the last one, then what comes after it in its directory, then after that one, up
    to the top of the walk. Bounded by VISITS_MAX.
    """
    visits = iter(range(VISITS_MAX))
    limit = walk.deepest
    top = list(walk.last).index(walk.top) if walk.top in walk.last else len(walk.last) - 1
    path = list(walk.last)[top:]
    for level in range(len(path) - 1, -1, -1):
        within = inside(path[level])
        if within is None:
            continue
        ordered = list(within)
        if walk.backwards:
            ordered.reverse()
        if level + 1 < len(path) and path[level + 1] in ordered:
            ordered = ordered[ordered.index(path[level + 1]) + 1 :]
        for child in ordered:
            yield from _below(child, level + 1, walk, limit, inside, visits)


def _below(
    node: N, depth: int, walk: Walk[N], limit: int | None, inside: Inside[N], visits: Iterator[int]
) -> Iterator[N]:
    if (limit is not None and depth > limit) or next(visits, None) is None:
        return
    within = inside(node)
    if within is None:
        yield node
        return
    for child in reversed(list(within)) if walk.backwards else within:
        yield from _below(child, depth + 1, walk, limit, inside, visits)
