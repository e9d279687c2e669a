"""The rate of each endpoint, and when the next call may go. Pure.

The rates are those published by Autodesk (Data Management API, "Rate Limits and Quotas";
Authentication API reference), per client id and endpoint. The kind of window is not published; a
call waits until at most ``limit`` lie within the last window, which obeys fixed windows, sliding
windows and buckets alike.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType

WINDOW_S = 60.0
MARGIN_S = 1.0
"""A call reaches the service up to this long after it left us: its window may begin later than
ours. Costs 1.6 % of the rate."""

PUBLISHED_PER_MIN: Mapping[str, int] = MappingProxyType({
    "hubs": 50, "projects": 50,
    "topFolders": 300, "contents": 300, "folder": 300, "item": 300,
    "storage": 300, "new_version": 300, "new_item": 50, "new_folder": 50, "change": 50,
    "commands": 300, "versions": 800, "search": 300, "version": 300,
    "formats": 50, "new_download": 50, "job": 300, "download": 300,
    "token": 500,
    "oss": 1000,
    "thumbnail": 60,
})  # fmt: skip
"""By endpoint as ``Call.route`` names it; ``oss`` is one quota for all of OSS. ``change`` is any
PATCH: each endpoint has its 50, as far as is known, and they are counted together here.
Of ``thumbnail`` none is published: a modest one of our own."""

SHARED_QUOTA: Mapping[str, str] = MappingProxyType({
    "sign": "oss", "upload_urls": "oss", "complete": "oss", "details": "oss",
    "copy_object": "oss",
})  # fmt: skip
"""Routes that count against the quota of another name."""


class Priority(IntEnum):
    """What a call is for. Lower goes first."""

    LOOKUP = 0
    """A program waits for a name."""
    READ = 1
    """A program waits for bytes."""
    WALK = 2
    """A program that walks the tree waits."""
    BULK = 3
    """A program waits for a folder of very many pages."""
    WRITE = 4
    """What was saved here goes up. Nobody waits for it, and yet it is no speculation."""
    AHEAD = 5
    """Speculation: a program will need this soon."""
    POLL = 6
    """Looking for changes; no program needs it now."""


SHARE: Mapping[Priority, float] = MappingProxyType({
    Priority.LOOKUP: 1.0, Priority.READ: 1.0,
    Priority.WALK: 0.97, Priority.BULK: 0.85, Priority.WRITE: 0.97,
    Priority.AHEAD: 0.95, Priority.POLL: 0.8,
})  # fmt: skip
"""Part of a quota that each may fill: a walk leaves 9 of 300 calls to people, and speculation
leaves some to the walk's own calls. The pages of a huge folder leave 45: 100 000 entries (500
pages) take two windows, and everybody's other folders go on. Writes may fill what speculation must
leave, or it would keep them out; see ``write_share`` for what they leave to readers."""
BURST_SHARE: Mapping[Priority, float] = MappingProxyType({
    Priority.LOOKUP: 1.0, Priority.READ: 0.8,
    Priority.WALK: 0.9, Priority.BULK: 0.85, Priority.WRITE: 0.9,
    Priority.AHEAD: 0.9, Priority.POLL: 0.9,
})  # fmt: skip
"""Part of a quota that may go at once; the rest is spread over the window, so that a long walk
never stands still for longer than a request may take. Figures: docs/performance.md."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most ``limit`` calls in any ``window_s``."""

    limit: int
    window_s: float = WINDOW_S

    @property
    def span_s(self) -> float:
        """Seconds for which a call counts."""
        return self.window_s + MARGIN_S


def wait_s(rate: Rate, calls: Sequence[float], priority: Priority, now: float) -> float:
    """Seconds until a call of that priority may go; 0 for now.

    ``calls`` are the moments of the calls that still count, oldest first.
    """
    used = len(calls)
    allowed = max(1, int(rate.limit * SHARE[priority]))
    if used >= allowed:
        # the one whose end leaves room for us
        return max(0.0, calls[used - allowed] + rate.span_s - now)
    if used < max(1, int(rate.limit * BURST_SHARE[priority])):
        return 0.0
    room_again_at = calls[0] + rate.span_s
    gap_s = max(0.0, room_again_at - calls[-1]) / (allowed - used + 1)
    return max(0.0, calls[-1] + gap_s - now)


def parse_rates(text: str, window_s: float) -> dict[str, Rate]:
    """The published rates, replaced by those in ``text`` (``contents=60,hubs=10``); ``off``: no
    rates at all. Raises ValueError."""
    if text.strip() == "off":
        return {}
    table = dict(PUBLISHED_PER_MIN)
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        match = re.fullmatch(r"(\w+)\s*=\s*(\d{1,6})", part)
        if not match or match[1] not in PUBLISHED_PER_MIN or int(match[2]) == 0:
            raise ValueError(
                "'off' or calls a minute by endpoint, such as contents=60 (known: "
                + ", ".join(PUBLISHED_PER_MIN)
                + ")"
            )
        table[match[1]] = int(match[2])
    return {name: Rate(limit, window_s) for name, limit in table.items()}
