"""The state of a mount in one line of words, for service managers (``STATUS=``). Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

STATES = {
    "online": "online",
    "offline": "offline",
    "offline_forced": "offline as asked for",
    "signed_out": "signed out: run dmfs login",
}
USED_SHARE = 0.75
"""A quota is shown from here on: below it nobody waits, and the words would never stay the same."""
WAITING_S = 5.0
"""So old is a request that is worth a word; a signing over a slow link takes three."""


def sentence(status: Mapping[str, Any], now: datetime) -> str:
    """Such as ``offline since 10:02; 12 files open; contents 291 of 300 calls``.

    ``now`` has the time zone in which times are told.
    """
    return "; ".join(_parts(status, now))


def _parts(status: Mapping[str, Any], now: datetime) -> Iterator[str]:
    state = str(status.get("state", "online"))
    since = _clock(status.get("since"), now) if state != "online" else ""
    yield STATES.get(state, state) + (f" since {since}" if since else "")
    files = status.get("open_files") or 0
    if files:
        yield f"{files} {'file' if files == 1 else 'files'} open"
    requests = status.get("requests") or {}
    oldest_s, waiting = requests.get("oldest_s") or 0.0, requests.get("waiting") or 0
    if waiting and oldest_s >= WAITING_S:
        yield f"{waiting} {'request waits' if waiting == 1 else 'requests wait'}, {_age(oldest_s)}"
    for quota in status.get("quotas") or ():
        yield from _quota(quota)
    yield from _writing(status.get("writing") or {})
    pins = status.get("pins") or {}
    done, total, failed = (pins.get(key) or 0 for key in ("done", "total", "failed"))
    if done < total:
        yield f"{done} of {total} pinned files are here"
    if failed:
        yield f"{failed} cannot be fetched"


def _writing(writing: Mapping[str, Any]) -> Iterator[str]:
    going = (writing.get("waiting") or 0) + (writing.get("uploading") or 0)
    failed, conflicts = writing.get("failed") or 0, writing.get("conflicts") or 0
    if going:
        yield f"{going} {'file waits' if going == 1 else 'files wait'} to go up"
    if failed:
        yield f"{failed} could not go up: run dmfs uploads"
    if conflicts:
        yield f"{conflicts} in conflict: run dmfs uploads"


def _quota(quota: Mapping[str, Any]) -> Iterator[str]:
    used, limit = quota.get("used") or 0, quota.get("limit") or 0
    held_s = quota.get("held_for_s") or 0.0
    if held_s > 0:
        yield f"{quota.get('name')} calls are held for {held_s:.0f} s"
    elif limit and used >= limit * USED_SHARE:
        yield f"{quota.get('name')} {used} of {limit} calls"


def _age(seconds: float) -> str:
    """Coarse: a sentence that changes with each second says no more."""
    return f"the oldest for {seconds // 60:.0f} min" if seconds >= 60 else "the oldest for seconds"


def _clock(since: object, now: datetime) -> str:
    """``10:02``, or with the day if it was another one; '' if it is no time."""
    try:
        if isinstance(since, str):
            then = datetime.fromisoformat(since).astimezone(now.tzinfo)
        elif isinstance(since, int | float) and since > 0:
            then = datetime.fromtimestamp(since, now.tzinfo)
        else:
            return ""
    except (ValueError, OverflowError, OSError):
        return ""
    return then.strftime("%H:%M" if then.date() == now.date() else "%d %b %H:%M")
