"""Moments as people write them → nanoseconds since the epoch, whole seconds. Pure.

A day stands for its end, in UTC: what is asked for is how things were after that day's work.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from dmfs.errors import UsageError
from dmfs.model import SNAPSHOTS

SECOND_NS = 10**9
FORMS = "such as 2024-05-01 (the end of that day), 2024-05-01T09:30Z, 12h or 7d (ago)"
FIRST_YEAR = 2000
"""The service is younger."""
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TIME = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d):?(\d\d)(?::?(\d\d))?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
_AGO = re.compile(r"(\d{1,6})\s*(m|h|d|w)", re.ASCII)
_UNITS_S = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_SNAPSHOT = re.compile(r"@GMT-(\d{4})\.(\d\d)\.(\d\d)-(\d\d)\.(\d\d)\.(\d\d)", re.ASCII)


def written_ns(text: str) -> int | None:
    """The end of ``2024-05-01``, or the beginning of the minute or second of ``2024-05-01T09:30Z``
    (UTC if it does not say); None for any other text."""
    try:
        if _DAY.fullmatch(text):
            day = datetime.fromisoformat(text).replace(tzinfo=UTC)
            return _ns(day + timedelta(days=1))
        match = _TIME.fullmatch(text)
        if match is None:
            return None
        day_text, hours, minutes, seconds, zone = match.groups()
        whole = f"{day_text}T{hours}:{minutes}:{seconds or '00'}"
        zone = "+00:00" if zone in (None, "Z") else f"{zone[:3]}:{zone[-2:]}"
        return _ns(datetime.fromisoformat(whole + zone))
    except (ValueError, OverflowError):
        return None


def moment_ns(text: str, now_ns: int) -> int:
    """A moment that lies in the past; today is now. UsageError."""
    now_ns = now_ns // SECOND_NS * SECOND_NS
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        found: int | None = now_ns - int(ago[1]) * _UNITS_S[ago[2]] * SECOND_NS
    else:
        found = written_ns(text.strip())
    if found is None:
        raise UsageError(f"{text!r} is no moment", hint=FORMS)
    if found > now_ns and _begins(text, now_ns):
        return now_ns
    if found > now_ns:
        raise UsageError(f"{text!r} lies in the future", hint="a moment of the past: " + FORMS)
    if found < _ns(datetime(FIRST_YEAR, 1, 1, tzinfo=UTC)):
        raise UsageError(
            f"{text!r} was before the service", hint=f"a moment since {FIRST_YEAR}: {FORMS}"
        )
    return found


def _begins(text: str, now_ns: int) -> bool:
    """Whether it is a day that has begun."""
    day = written_ns(text.strip()) if _DAY.fullmatch(text.strip()) else None
    return day is not None and day - now_ns <= 86400 * SECOND_NS


def day_ns(text: str, now_ns: int) -> int | None:
    """As ``moment_ns``, of what stands in a name: None for what lies in the future or is none."""
    found = written_ns(text)
    if found is None or (found > now_ns and not _begins(text, now_ns)):
        return None
    return found


def snapshot_name(at_ns: int) -> str:
    """``@GMT-2024.05.01-00.00.00``, as Samba's shadow_copy2 has it."""
    moment = datetime.fromtimestamp(at_ns // SECOND_NS, UTC)
    return moment.strftime("@GMT-%Y.%m.%d-%H.%M.%S")


def past_path(at_ns: int, path: str) -> str:
    """A path of the drive at a moment: ``/.snapshots/@GMT-…/Hub/Project``."""
    return f"/{SNAPSHOTS}/{snapshot_name(at_ns)}/{path.strip('/')}".rstrip("/")


def snapshot_ns(name: str, now_ns: int) -> int | None:
    """The moment of such a name; None for any other, and for one that is still to come."""
    match = _SNAPSHOT.fullmatch(name)
    if match is None:
        return None
    try:
        year, month, day, hour, minute, second = map(int, match.groups())
        found = _ns(datetime(year, month, day, hour, minute, second, tzinfo=UTC))
    except ValueError:
        return None
    return found if found <= now_ns and snapshot_name(found) == name else None


def midnights_ns(now_ns: int, count: int) -> list[int]:
    """The last midnights (UTC), the latest first."""
    day_ns_ = 86400 * SECOND_NS
    last = now_ns // day_ns_ * day_ns_
    return [last - n * day_ns_ for n in range(count)]


def _ns(moment: datetime) -> int:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    gone = moment - epoch
    return (gone.days * 86400 + gone.seconds) * SECOND_NS + gone.microseconds * 1000
