"""Who has looked at what since when, and whose answers were lost."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

Who = tuple[str, str]
"""Client id and user id."""
_LOOKS_MAX = 100_000
_LOST_MAX = 1000


@dataclass(slots=True)
class Lost:
    """A call whose answer did not arrive; a look at any of ``ids`` tells what became of it."""

    at_s: float
    ids: frozenset[str]
    looked: bool = False


@dataclass
class Looks:
    """Looks by id of a folder, an item or an object; lost answers by what the call was."""

    _looks: OrderedDict[tuple[Who, str], float] = field(default_factory=OrderedDict)
    _lost: OrderedDict[tuple[Who, str], Lost] = field(default_factory=OrderedDict)
    _on_their_way: list[tuple[Who, frozenset[str], float]] = field(default_factory=list)

    def reset(self) -> None:
        self._looks.clear()
        self._lost.clear()

    @contextmanager
    def handing_over(self, who: Who, ids: Iterable[str], at_s: float) -> Iterator[None]:
        """The body hands over an answer that shows these as they were at that moment. Its client
        may have all of it, and go on, before the body ends."""
        look = who, frozenset(ids), at_s
        self._on_their_way.append(look)
        try:
            yield
        finally:
            self._on_their_way.remove(look)
        self.look(*look)

    def look(self, who: Who, ids: Iterable[str], at_s: float) -> None:
        """Answers about these were handed over that show them as they were at that moment."""
        for id_ in ids:
            self._looks[who, id_] = at_s
            self._looks.move_to_end((who, id_))
            for (loser, _), lost in self._lost.items():
                if loser == who and id_ in lost.ids and at_s >= lost.at_s:
                    lost.looked = True
        while len(self._looks) > _LOOKS_MAX:
            self._looks.popitem(last=False)

    def last_s(self, who: Who, ids: Iterable[str]) -> float:
        """The last look at any of them; 0 for never."""
        return max((self._looks.get((who, id_), 0.0) for id_ in ids), default=0.0)

    def lose(self, who: Who, call: str, ids: Iterable[str]) -> None:
        """The answer to that call did not arrive."""
        self._lost[who, call] = Lost(time.time(), frozenset(ids))
        while len(self._lost) > _LOST_MAX:
            self._lost.popitem(last=False)

    def found(self, who: Who, call: str) -> Lost | None:
        """The lost answer that a call repeats; it is lost no more."""
        lost = self._lost.pop((who, call), None)
        if lost is not None:
            lost.looked |= any(
                looker == who and ids & lost.ids and at_s >= lost.at_s
                for looker, ids, at_s in self._on_their_way
            )
        return lost
