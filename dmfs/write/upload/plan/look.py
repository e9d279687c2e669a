"""What follows when it is not known whether a POST worked. Pure.

A request whose answer was lost may still be running: it is looked for at once, after 10 s and after
40 s, and only then sent again, with the same storage, which the service takes but once.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import NamedTuple

LOOKS_AT_S = (10.0, 40.0)
"""After the POST; the first look is at once."""
LEAST_WAIT_S = 0.5
POSTS_MAX = 5
"""Later ones are as far apart as the backoff makes them."""
UNLISTED_LOOKS = (10.0, 30.0, 60.0, 120.0, 300.0)
"""Pauses between looks at a folder that is said to have a name that it does not list."""


class Seen(Enum):
    """What a look found."""

    OURS = auto()
    AS_BEFORE = auto()
    """The tip is what it was; the folder does not have the name."""
    OTHER = auto()
    """Another's version, another's item of that name."""
    AWAY = auto()
    """The item is deleted."""


class Verdict(Enum):
    """What to do about it."""

    DONE = auto()
    WAIT = auto()
    """Then look again."""
    POST = auto()
    """The same again."""
    BESIDE = auto()
    """It certainly did not work, and there is somebody else's now."""
    ANEW = auto()
    """There is no item any more: as a new one."""


class Decision(NamedTuple):
    """``wait_s``: until the next look, for WAIT."""

    verdict: Verdict
    wait_s: float = 0.0


def after_lost_answer(seen: Seen, since_post_s: float) -> Decision:
    """``since_post_s``: seconds since the POST was sent; a clock that was set back counts as 0."""
    if seen is Seen.OURS:
        return Decision(Verdict.DONE)
    since_post_s = max(0.0, since_post_s)
    for look_s in LOOKS_AT_S:
        if since_post_s < look_s:
            # never a wait that is lost in rounding: it would be asked for without end
            return Decision(Verdict.WAIT, max(LEAST_WAIT_S, look_s - since_post_s))
    if seen is Seen.OTHER:
        return Decision(Verdict.BESIDE)
    return Decision(Verdict.ANEW if seen is Seen.AWAY else Verdict.POST)
