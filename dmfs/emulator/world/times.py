"""Times as the service writes them. Inside the emulator they are seconds since the epoch."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from math import isfinite

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def seven_digits(seconds: float) -> str:
    """``2022-05-06T08:24:41.1234567Z``, as BIM 360 and ACC write times."""
    whole, micros = _split(seconds)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{micros:06d}0Z"


def offset_form(seconds: float) -> str:
    """``2016-05-24T19:25:23+00:00``, as ``a.`` projects write times."""
    return f"{_split(seconds)[0]:%Y-%m-%dT%H:%M:%S}+00:00"


def http_date(seconds: float) -> str:
    return formatdate(seconds, usegmt=True)


def amz_date(seconds: float) -> str:
    """``20221124T112156Z``."""
    return f"{_split(seconds)[0]:%Y%m%dT%H%M%SZ}"


def parsed(value: object) -> float:
    """Seconds since the epoch of a number of them or of ISO 8601 (UTC where it names no zone);
    ValueError for anything else."""
    if isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value):
        return float(value)
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None:
        raise ValueError(f"a moment is ISO 8601 or seconds since 1970, not {value!r}")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def exact(seconds: float) -> float:
    """To the microsecond, as times are served: a moment that was given is not after itself."""
    return round(seconds * 1e6) / 1e6


def _split(seconds: float) -> tuple[datetime, int]:
    moment = _EPOCH + timedelta(microseconds=round(seconds * 1e6))
    return moment, moment.microsecond
