"""What a job will cost: calls, bytes, and the least time that the published rates allow. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dmfs.ratelimit.limiter import QuotaUse
from dmfs.ratelimit.limits import SHARE, SHARED_QUOTA, Priority


class Estimate(NamedTuple):
    """Of what is to come."""

    folders_known: int
    """Folders whose files count here."""
    folders_to_list: int
    """Folders that could not be listed, so that nothing is known of what lies in them."""
    listing_calls: int
    """Calls that it took to know this."""
    files: int
    bytes: int
    files_missing: int
    """Of the files those that are not whole on disk."""
    bytes_missing: int
    calls: int
    """Signings."""
    least_s: float
    room: int
    """Bytes that may come before what was read lately, or is pinned, would have to go."""


def least_s(calls: Mapping[str, int], quotas: Iterable[QuotaUse]) -> float:
    """Seconds that so many speculative calls take at least, by route, with the quotas as they are.
    Speculation leaves a part of each quota to people."""
    longest_s = 0.0
    for quota in quotas:
        count = sum(n for route, n in calls.items() if SHARED_QUOTA.get(route, route) == quota.name)
        allowed = max(1, int(quota.limit * SHARE[Priority.AHEAD]))
        at_once = max(0, allowed - quota.used)
        windows = max(0, count - at_once) / allowed
        longest_s = max(longest_s, windows * quota.window_s, quota.held_for_s if count else 0.0)
    return round(longest_s, 1)
