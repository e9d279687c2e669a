"""Values at paths of JSON of any shape. Pure."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

Json = Mapping[str, Any]

_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9})\d*)?)?\s*(Z|[+-]\d\d:?\d\d)?"
)


def dig(table: Any, *keys: str) -> Any:
    """The value at a path of keys, None if the path ends early."""
    for key in keys:
        if not isinstance(table, Mapping):
            return None
        table = table.get(key)
    return table


def text(table: Any, *keys: str) -> str:
    """The text at a path of keys, '' if there is none."""
    value = dig(table, *keys)
    return value if isinstance(value, str) else ""


def shared_text(table: Any, *keys: str) -> str:
    """A text that is equal in many entries: interned."""
    return sys.intern(text(table, *keys))


def number(table: Any, *keys: str) -> int | None:
    """The non-negative 63-bit integer at a path of keys, None if there is none."""
    value = dig(table, *keys)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 63:
        return None
    return value


def parse_time_ns(stamp: str) -> int | None:
    """``2022-05-06T08:24:41.0000000Z`` or ``…T19:25:23+00:00`` → ns since the epoch; None for other
    texts. BIM 360 sends seven digits, which ``datetime`` refuses."""
    match = _TIME.fullmatch(stamp.strip())
    if not match:
        return None
    year, month, day, hour, minute = (int(part) for part in match.group(1, 2, 3, 4, 5))
    try:
        whole = datetime(year, month, day, hour, minute, int(match[6] or 0), tzinfo=UTC)
    except ValueError:
        return None
    seconds = int((whole - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    zone = match[8] or "Z"
    if zone != "Z":
        minutes = int(zone[1:3]) * 60 + int(zone[-2:])
        seconds -= minutes * 60 if zone[0] == "+" else -minutes * 60
    return seconds * 10**9 + int((match[7] or "").ljust(9, "0"))
