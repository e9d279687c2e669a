"""What is to be done for an export, and when to look at a job: decided here, done elsewhere. Pure.

No design is ordered twice without a person knowing. What was about to be posted when a process was
killed is *in doubt*: the service has no way to ask for a job by its version. A person is told, and
who asks again a minute later wants it made anew, be it for the second time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from dmfs.exports.records import Export

DOUBT_S = 60.0
"""After a person was warned."""
STANDING_S = 86400.0
"""A pin asks again for what failed or is in doubt after so long, and anybody for a job that does
not end."""
POLL_FIRST_S, POLL_MAX_S, POLL_GROWTH = 2.0, 30.0, 1.5
POLLS_A_MINUTE = 240
"""Of the 300 that are published: people and other machines have the rest."""
DEFAULT_FORMAT = "f3z"

Step = Literal["order", "poll", "fetch", "doubt", "failed"]


class Wish(NamedTuple):
    """Who wants an export, and since when (wall clock)."""

    at_s: float
    by_pin: bool = False
    doubt_s: float = DOUBT_S


def next_step(export: Export | None, wish: Wish) -> Step:
    """For one that nobody is ordering just now."""
    if export is None:
        return "order"
    # a clock that was set back must not keep a design from ever being made
    age_s = abs(wish.at_s - export.since_s)
    match export.state:
        case "ready":
            return "fetch"
        case "posted":
            return "order" if wish.at_s > export.since_s and age_s > STANDING_S else "poll"
        case "failed":
            before = wish.at_s > export.since_s
            wanted = not wish.by_pin or age_s > STANDING_S
            return "order" if before and wanted else "failed"
        case _:
            return "order" if _may_repeat(export, wish, age_s) else "doubt"


def _may_repeat(export: Export, wish: Wish, age_s: float) -> bool:
    if wish.by_pin:
        return age_s > STANDING_S
    return export.warned_s > 0 and abs(wish.at_s - export.warned_s) >= wish.doubt_s


def poll_pause_s(polls: int, jobs: int, scale: float = 1.0) -> float:
    """Until a job is looked at again that was looked at ``polls`` times, while ``jobs`` wait: from
    2 to 30 s, and longer where so many would go beyond the published rate. ``scale``: of a minute
    that is shorter, in tests."""
    own_s = min(POLL_FIRST_S * POLL_GROWTH ** min(polls, 20), POLL_MAX_S)
    return max(own_s, jobs * 60.0 / POLLS_A_MINUTE) * scale


def chosen_format(wanted: str, offered: Sequence[str]) -> str:
    """The format to make: the one that is wanted, else f3z, else what comes first; '' where it is
    not offered."""
    if wanted:
        return wanted if wanted in offered else ""
    if DEFAULT_FORMAT in offered:
        return DEFAULT_FORMAT
    return offered[0] if offered else ""
