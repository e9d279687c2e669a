"""How many calls of the API a piece of work made, whichever tasks made them for it.

Tasks that start in the body of ``tallying`` count for it, those of a shared refresh too if it began
there. Work that joins another's refresh made no call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_current: ContextVar[Counter[str] | None] = ContextVar("tally", default=None)
SIGN_IN = "token"


def count_call(route: str) -> None:
    """A call was sent, whatever came of it."""
    tally = _current.get()
    if tally is not None:
        tally[route] += 1


@contextmanager
def tallying() -> Iterator[Counter[str]]:
    """The calls that the body makes, by route."""
    tally: Counter[str] = Counter()
    token = _current.set(tally)
    try:
        yield tally
    finally:
        _current.reset(token)


def calls_in(tally: Counter[str]) -> int:
    """All calls but those for a token, which are not the work's own."""
    return tally.total() - tally[SIGN_IN]
