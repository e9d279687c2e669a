"""What Prometheus gets to see of a mount: each metric with its samples, from plain counters. Pure.

No path, name, user or id is in a label, and each label has a closed set of values: whatever a mount
meets, it is less than 300 series, and 20 more where it writes.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from dmfs.neighbours.table import Kind
from dmfs.telemetry.durations import BOUNDS_S, Histogram

OTHER = "other"
OPERATIONS = ("lookup", "getattr", "opendir", "readdir", "open", "read", "getxattr")
TIMED = ("lookup", "opendir", "readdir", "open", "read")
"""Operations that may have to wait; the others have one histogram together."""
ERRNOS = (
    "ok", "ENOENT", "EACCES", "EIO", "EBUSY", "ETIMEDOUT", "ESTALE", "EROFS", "ENODATA",
)  # fmt: skip
ROUTES = ("hubs", "projects", "topFolders", "contents", "folder", "item", "sign", "token", "write")
"""``write`` is all that changes something, and what uploads need besides."""
_WRITING = frozenset({
    "storage", "new_item", "new_version", "new_folder", "change", "commands", "version",
    "upload_urls", "complete", "details", "copy_object",
})  # fmt: skip
OUTCOMES = ("ok", "http_429", "http_4xx", "http_5xx", "connect", "timeout", "broken", "cancelled")
QUOTAS = ("hubs", "projects", "topFolders", "contents", "folder", "item", "token", "oss")
"""All others, those of writing among them, are one: the one that is used up most."""
DRAFTS = ("waiting", "uploading", "failed", "conflicts", "local", "names")
UPLOADS = ("upload", "conflict", "failed")
"""Events, as they are counted."""
TIERS = {"memory": ("memory",), "disk": ("page_cache", "disk"), "network": ("network",)}
"""Tier as it is shown → the tiers that are counted (blocks in the page cache are of the disk's)."""
_OUTCOMES_FROM_THE_START = ("ok", "http_429", "http_5xx", "connect", "timeout")
_FROM_THE_START = [
    (operation, errno)
    for operation in ("lookup", "opendir", "open", "read")
    for errno in ("EIO", "EACCES", "EBUSY", "ETIMEDOUT")
]
"""Shown as 0 before there is any: Prometheus takes the first value of a series for its begin, so
that the first errors of an outage would not count."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a mount knows at one moment."""

    status: Mapping[str, Any]
    """Of ``dmfs status``."""
    gauges: Mapping[str, int]
    """Of ``Drive.gauges``."""
    histograms: Mapping[str, Histogram]
    version: str


class Sample(NamedTuple):
    """One series of a metric."""

    labels: tuple[str, ...]
    value: float | Histogram


@dataclass(frozen=True, slots=True)
class Family:
    """One metric. Its ``samples`` have no labels twice."""

    name: str
    kind: str
    """``counter``, ``gauge`` or ``histogram``."""
    help: str
    labels: tuple[str, ...]
    samples: Callable[[Seen], Iterable[Sample]]


def _number(value: object) -> float | None:
    """A number that can be shown: a status may leave out what it does not know."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def _within(status: object, *path: str) -> object:
    for key in path:
        status = status.get(key) if isinstance(status, Mapping) else None
    return status


def _one_of(known: Iterable[str], word: object) -> str:
    return word if isinstance(word, str) and word in known else OTHER


def _plain(*path: str, gauge: str = "") -> Callable[[Seen], Iterable[Sample]]:
    """One series without labels, of the status, or else of a gauge; none if it is not known."""

    def samples(seen: Seen) -> Iterable[Sample]:
        value = _number(_within(seen.status, *path)) if path else None
        if value is None and gauge:
            value = _number(seen.gauges.get(gauge, 0))
        return [] if value is None else [Sample((), value)]

    return samples


def _summed(counts: Mapping[tuple[str, ...], float]) -> list[Sample]:
    return [Sample(labels, counts[labels]) for labels in sorted(counts)]


def _requests(seen: Seen) -> Iterable[Sample]:
    counts: Counter[tuple[str, ...]] = Counter(
        {(operation, "ok"): 0 for operation in (*OPERATIONS, OTHER)}
        | dict.fromkeys(_FROM_THE_START, 0)
    )
    for key, value in seen.gauges.items():
        kind, _, rest = key.partition(".")
        operation, dot, errno = rest.partition(".")
        if kind == "requests" and dot:
            errno = "ok" if errno == "at_hand" else errno
            labels = _one_of(OPERATIONS, operation), _one_of(ERRNOS, errno)
            counts[labels] += int(_number(value) or 0)
    return _summed(counts)


def _durations(seen: Seen) -> Iterable[Sample]:
    rows = {name: ([0] * (len(BOUNDS_S) + 1), [0.0]) for name in (*TIMED, OTHER)}
    for operation, histogram in seen.histograms.items():
        counts, sums = rows[_one_of(TIMED, operation)]
        for index, count in enumerate(histogram.counts):
            counts[index] += count
        sums[0] += histogram.sum_s
    rows["read"][0][0] += int(_number(seen.gauges.get("requests.read.at_hand", 0)) or 0)
    return [
        Sample((name,), Histogram(tuple(counts), sums[0])) for name, (counts, sums) in rows.items()
    ]


def _outcome(word: str) -> str:
    if word in OUTCOMES:
        return word
    code = re.fullmatch(r"http_([45])\d\d", word)
    return f"http_{code[1]}xx" if code else OTHER


def _calls(seen: Seen) -> Iterable[Sample]:
    counts: Counter[tuple[str, ...]] = Counter(
        {(route, outcome): 0 for route in ROUTES for outcome in _OUTCOMES_FROM_THE_START}
    )
    for key, value in seen.gauges.items():
        kind, _, rest = key.partition(".")
        route, dot, outcome = rest.partition(".")
        if kind == "calls" and dot:
            route = "write" if route in _WRITING else _one_of(ROUTES, route)
            counts[route, _outcome(outcome)] += int(_number(value) or 0)
    return _summed(counts)


def _quotas(key: str) -> Callable[[Seen], Iterable[Sample]]:
    def samples(seen: Seen) -> Iterable[Sample]:
        found: dict[tuple[str, ...], tuple[float, float]] = {}
        rows = _within(seen.status, "quotas")
        for row in rows if isinstance(rows, list | tuple) else ():
            value = _number(_within(row, key))
            if value is not None:
                labels = (_one_of(QUOTAS, _within(row, "name")),)
                used = _number(_within(row, "used")) or 0.0
                share = used / (_number(_within(row, "limit")) or math.inf)
                share = 0.0 if key == "held_for_s" else share
                found[labels] = max((share, value), found.get(labels, (0.0, 0.0)))
        return _summed({labels: value for labels, (_, value) in found.items()})

    return samples


def _tiers(what: str) -> Callable[[Seen], Iterable[Sample]]:
    def samples(seen: Seen) -> Iterable[Sample]:
        for tier, counted in TIERS.items():
            names = [f"blocks.{each}_{what}" for each in counted]
            if (tier, what) == ("network", "hits"):
                names = ["blocks.misses"]
            yield Sample((tier,), sum(_number(seen.gauges.get(name, 0)) or 0 for name in names))

    return samples


def _listings(seen: Seen) -> Iterable[Sample]:
    known = _number(_within(seen.status, "listings", "known"))
    if known is None:
        known = _number(seen.gauges.get("listings.cached", 0)) or 0.0
    stale = min(known, _number(_within(seen.status, "listings", "stale")) or 0.0)
    return [Sample(("fresh",), known - stale), Sample(("stale",), stale)]


def _pins(seen: Seen) -> Iterable[Sample]:
    done, total, failed = (
        _number(_within(seen.status, "pins", key)) or 0.0 for key in ("done", "total", "failed")
    )
    waiting = max(0.0, total - done - failed)
    return [Sample(("done",), done), Sample(("failed",), failed), Sample(("waiting",), waiting)]


def _drafts(seen: Seen) -> Iterable[Sample]:
    for key in DRAFTS:
        value = _number(_within(seen.status, "writing", key))
        if value is not None:
            yield Sample((key,), value)


def _uploads(seen: Seen) -> Iterable[Sample]:
    if not isinstance(seen.status.get("writing"), Mapping):
        return
    for outcome in UPLOADS:
        yield Sample((outcome,), _number(seen.gauges.get(f"writing.{outcome}", 0)) or 0.0)


def _uploaded(seen: Seen) -> Iterable[Sample]:
    if isinstance(seen.status.get("writing"), Mapping):
        yield Sample((), _number(seen.gauges.get("writing.uploaded_bytes", 0)) or 0.0)


def _refusals(seen: Seen) -> Iterable[Sample]:
    counts: Counter[tuple[str, ...]] = Counter({(kind.value,): 0 for kind in Kind})
    rows = _within(seen.status, "kept_away")
    for row in rows if isinstance(rows, list | tuple) else ():
        kind = _one_of([each.value for each in Kind], _within(row, "kind"))
        counts[(kind,)] += int(_number(_within(row, "refused")) or 0)
    return _summed(counts)


def _online(seen: Seen) -> Iterable[Sample]:
    return [Sample((), float(seen.status.get("state", "online") == "online"))]


FAMILIES = (
    Family(
        "dmfs_build_info", "gauge", "1; the version of dmfs.", ("version",),
        lambda seen: [Sample((seen.version,), 1.0)],
    ),
    Family("dmfs_up", "gauge", "1 while the mount lives.", (), lambda _: [Sample((), 1.0)]),
    Family(
        "dmfs_online", "gauge", "1 if the service is reached and signed in to, else 0.", (), _online
    ),
    Family(
        "dmfs_fuse_requests_total", "counter", "Requests of the kernel by operation and result.",
        ("op", "errno"), _requests,
    ),
    Family(
        "dmfs_fuse_request_duration_seconds", "histogram",
        "Time until a request was answered. Reads that were answered from memory are in the "
        "smallest bucket, with no time in the sum.", ("op",), _durations,
    ),
    Family(
        "dmfs_fuse_requests_waiting", "gauge", "Requests that wait for their answer now.", (),
        _plain("requests", "waiting"),
    ),
    Family(
        "dmfs_fuse_oldest_request_seconds", "gauge", "For how long the oldest of them has waited.",
        (), _plain("requests", "oldest_s"),
    ),
    Family(
        "dmfs_open_files", "gauge", "Open files.", (), _plain("open_files", gauge="files")
    ),
    Family(
        "dmfs_read_bytes_total", "counter", "Bytes given out, by the tier that had them.",
        ("tier",), _tiers("bytes"),
    ),
    Family(
        "dmfs_reads_total", "counter",
        "Reads answered, by the tier that had the bytes; network: they had to be fetched.",
        ("tier",), _tiers("hits"),
    ),
    Family(
        "dmfs_api_calls_total", "counter", "Calls of the service by route and outcome.",
        ("route", "outcome"), _calls,
    ),
    Family(
        "dmfs_api_quota_calls", "gauge",
        "Calls that count against a quota now, of all processes of this client id here.",
        ("quota",), _quotas("used"),
    ),
    Family(
        "dmfs_api_quota_limit", "gauge", "Calls that a quota allows in a minute.", ("quota",),
        _quotas("limit"),
    ),
    Family(
        "dmfs_api_hold_seconds", "gauge",
        "For how long the service has asked to call no more; 0 if it has not.", ("quota",),
        _quotas("held_for_s"),
    ),
    Family(
        "dmfs_cache_bytes", "gauge", "Bytes of blocks in the cache on disk.", (),
        _plain("cache", "bytes"),
    ),
    Family(
        "dmfs_cache_limit_bytes", "gauge", "Bytes that these may take.", (),
        _plain("cache", "limit_bytes"),
    ),
    Family(
        "dmfs_cache_memory_bytes", "gauge", "Bytes of blocks in memory.", (),
        _plain("cache", "memory_bytes", gauge="memory_bytes"),
    ),
    Family(
        "dmfs_cache_memory_limit_bytes", "gauge", "Bytes that these may take.", (),
        _plain("cache", "memory_limit_bytes"),
    ),
    Family(
        "dmfs_evicted_bytes_total", "counter", "Bytes that this mount evicted from the disk.", (),
        _plain(gauge="store.evicted_bytes"),
    ),
    Family(
        "dmfs_listings", "gauge", "Listings in memory, by whether they may be believed unasked.",
        ("state",), _listings,
    ),
    Family(
        "dmfs_listing_entries", "gauge", "Entries of these listings.", (),
        _plain("listings", "entries", gauge="listings.entries"),
    ),
    Family("dmfs_pins", "gauge", "Pinned files by state.", ("state",), _pins),
    Family(
        "dmfs_pinned_bytes", "gauge", "Bytes that pins keep on disk.", (), _plain("pins", "bytes")
    ),
    Family(
        "dmfs_neighbour_refusals_total", "counter",
        "Opens of files that were not cached, by indexers and thumbnailers, that were refused.",
        ("kind",), _refusals,
    ),
    Family(
        "dmfs_drafts", "gauge",
        "Saved files by state, of a mount that writes; names: renames and deletions that wait.",
        ("state",), _drafts,
    ),
    Family(
        "dmfs_uploads_total", "counter",
        "Saved files that went up, went up beside somebody else's, or were refused.",
        ("outcome",), _uploads,
    ),
    Family(
        "dmfs_uploaded_bytes_total", "counter", "Bytes of the versions that went up.", (),
        _uploaded,
    ),
    Family(
        "dmfs_spool_bytes", "gauge", "Bytes in the spool.", (), _plain("writing", "used_bytes")
    ),
    Family(
        "dmfs_spool_limit_bytes", "gauge", "Bytes that it may take.", (),
        _plain("writing", "limit_bytes"),
    ),
)  # fmt: skip
