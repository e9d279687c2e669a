"""Which files a job is to take: by name, time and size. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from fnmatch import translate
from typing import Any

from dmfs.errors import UsageError
from dmfs.jobs.job import Parameters
from dmfs.model import File

_AGO = re.compile(r"(\d{1,6})\s*(m|h|d|w)")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


class Filter:
    """``takes`` a file at a path, or not."""

    def __init__(self, match: str | None, newer_ns: int | None, max_bytes: int | None) -> None:
        """``match``: a glob, of the name or, with a ``/`` in it, of the end of the path."""
        self._newer_ns, self._max_bytes = newer_ns, max_bytes
        self._of_path = match is not None and "/" in match
        self._matches: Callable[[str], Any] = lambda _text: True
        if match is not None:
            pattern = f"*/{match.lstrip('/')}" if self._of_path else match
            self._matches = re.compile(translate(pattern)).match

    def takes(self, file: File, path: str, size_bytes: int) -> bool:
        """Whether a file is to be taken."""
        return (
            (self._newer_ns is None or file.mtime_ns > self._newer_ns)
            and (self._max_bytes is None or size_bytes <= self._max_bytes)
            and bool(self._matches(path if self._of_path else path.rpartition("/")[2]))
        )


def filter_of(parameters: Parameters, now_s: float) -> Filter:
    """``match``, ``newer`` and ``max_size`` of a job. UsageError."""
    match, newer = parameters.get("match"), parameters.get("newer")
    max_bytes = parameters.get("max_size")
    if match is not None and not isinstance(match, str):
        raise UsageError("match is no text", hint='a pattern such as "*.rvt"')
    if max_bytes is not None and (type(max_bytes) is not int or max_bytes < 0):
        raise UsageError("max_size is no number of bytes")
    return Filter(match or None, None if newer is None else newer_ns_of(newer, now_s), max_bytes)


def newer_ns_of(newer: object, now_s: float) -> int:
    """``2024-05-01``, ``2024-05-01T09:30Z`` (UTC if it does not say), ``7d`` (ago) → nanoseconds
    since the epoch. UsageError."""
    text = newer.strip() if isinstance(newer, str) else ""
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            moment = datetime.fromtimestamp(now_s, UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        else:
            moment = datetime.fromisoformat(text)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp()) * 10**9
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"newer: {newer!r} is no time", hint="such as 2024-05-01, 2024-05-01T09:30Z, 12h, 7d"
        ) from None
