"""What a drive knows of itself, as one plain object: for ``dmfs status``, ``top`` and metrics.

Asked at any time, also while the service or a disk hangs: nothing here waits for either.
"""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import trio

from dmfs.drive import Drive
from dmfs.system.clock import iso_seconds, wall_time_s
from dmfs.system.concurrency import in_thread
from dmfs.telemetry.access_log import AccessRecord
from dmfs.telemetry.activity import Transfer
from dmfs.telemetry.processes import Process

PROCESSES_MAX = 20
FAILED_PINS = ("failed", "gone", "no room")
PIN_ERRORS_MAX = 5
TRANSFERS_MAX = 20
BAD_MAX = 5
DISK_S = 0.02
"""A look at the index takes 0.1 ms."""
_looks = trio.CapacityLimiter(4)
"""Threads that a disk that hangs may keep."""
TIERS = ("memory", "page_cache", "disk", "network")


async def status_of(drive: Drive) -> dict[str, Any]:
    """JSON values. Times are ISO 8601 in UTC, durations seconds, sizes bytes."""
    parts, gauges, now = drive.parts, drive.gauges(), trio.current_time()
    under_way = drive.activity.under_way()
    state, since_s = _state(drive)
    return {
        "state": state,
        "since": iso_seconds(since_s),
        "person": parts.sign_in.person,
        "quotas": [
            {**use._asdict(), "held_until": _until(use.held_for_s)}
            for use in await parts.limiter.quotas()
        ],
        "quota_sharing": parts.limiter.sharing(),
        "cache": await _cache(drive, gauges),
        "listings": {
            "known": gauges["listings.cached"],
            "stale": parts.listings.stale_count(),
            "entries": gauges["listings.entries"],
        },
        "open_files": gauges.get("files", 0),
        "requests": {
            "waiting": len(under_way),
            "oldest_s": round(now - under_way[0].started, 3) if under_way else 0.0,
            "oldest": _request(under_way[0]) if under_way else None,
        },
        "pins": _pins(drive),
        "writing": _writing(drive),
        "kept_away": [
            {"program": each.program, "kind": each.kind.value, "refused": each.times}
            for each in drive.activity.refusals.rows()
        ],
        "processes": _processes(drive, under_way, now),
        "transfers": _transfers(drive, now),
        "failures": [
            {**asdict(failure), "at": iso_seconds(failure.at_s)}
            for failure in reversed(drive.activity.failures)
        ],
    }


def _state(drive: Drive) -> tuple[str, float]:
    """In one word, and since when (wall clock)."""
    signed_out_s = drive.parts.sign_in.signed_out_since_s
    breaker = drive.parts.client.breaker
    if breaker.is_open:
        return "offline_forced" if breaker.forced else "offline", breaker.changed_at_s
    if signed_out_s is not None:
        return "signed_out", signed_out_s
    return "online", breaker.changed_at_s


def _until(seconds: float) -> str | None:
    return iso_seconds(wall_time_s() + seconds) if seconds > 0 else None


async def _cache(drive: Drive, gauges: dict[str, int]) -> dict[str, Any]:
    settings = drive.settings
    return {
        "bytes": await _bytes_at_rest(drive),
        "limit_bytes": settings.cache_size,
        "memory_bytes": gauges["memory_bytes"],
        "memory_limit_bytes": settings.memory_budget,
        "hits": {tier: gauges.get(_counter(tier, "hits"), 0) for tier in TIERS},
        "hit_bytes": {tier: gauges.get(_counter(tier, "bytes"), 0) for tier in TIERS},
        "evicted_bytes": gauges.get("store.evicted_bytes", 0),
    }


async def _bytes_at_rest(drive: Drive) -> int | None:
    """None while the disk gives no answer."""
    store = drive.parts.block_store
    if store is None:
        return 0
    with trio.move_on_after(DISK_S), suppress(OSError, sqlite3.Error):
        return await in_thread(store.used_bytes, _looks)
    return None


def _counter(tier: str, what: str) -> str:
    return "blocks.misses" if (tier, what) == ("network", "hits") else f"blocks.{tier}_{what}"


def _pins(drive: Drive) -> dict[str, Any]:
    """Of this sign-in, as its keeper told last: files and bytes that are whole, and in all."""
    pins = drive.parts.pins
    found = [] if pins is None else [pin.progress for pin in pins.contents.pins]
    return {
        "pins": len(found),
        "done": sum(each.files_done for each in found),
        "total": sum(each.files for each in found),
        "bytes": sum(each.bytes_done for each in found),
        "total_bytes": sum(each.bytes for each in found),
        "states": dict(Counter(each.state for each in found)),
        "failed": sum(
            max(1, each.files - each.files_done) for each in found if each.state in FAILED_PINS
        ),
        "no_room": sum(each.state == "no room" for each in found),
        "errors": [each.error for each in found if each.error][:PIN_ERRORS_MAX],
    }


def _writing(drive: Drive) -> dict[str, Any] | None:
    """What was saved and has not gone up; None for a drive that is read alone."""
    if drive.writing is None:
        return None
    # loaded by a drive that writes
    from dmfs.write.care.report import report_of  # noqa: PLC0415
    from dmfs.write.care.rows import DELETE, counts, is_bad, left  # noqa: PLC0415

    report = report_of(drive.writing)
    deletions = sum(row.what == DELETE for row in report.rows)
    bad = [row for row in report.rows if is_bad([row])]
    return {
        **counts(report.rows),
        "deletions": deletions,
        "left_bytes": sum(row.size_bytes - row.done_bytes for row in left(report.rows)),
        "used_bytes": report.used_bytes,
        "limit_bytes": report.limit_bytes,
        "others": report.others,
        "damaged": report.damaged,
        "bad": [{"path": row.path, "reason": row.reason} for row in bad[:BAD_MAX]],
    }


def _request(record: AccessRecord) -> dict[str, Any]:
    return {"op": record.operation, "path": record.path, **_program(record.process)}


def _program(process: Process) -> dict[str, Any]:
    return {"pid": process.pid, "program": process.name}


def _processes(drive: Drive, under_way: Iterable[AccessRecord], now: float) -> list[dict[str, Any]]:
    """Those with something under way first, then those seen last. Files that are open count with
    what was given out so far."""
    activity = drive.activity
    transfers = activity.transfers()
    given = Counter[int]()
    for transfer in transfers:
        given[id(transfer.process)] += transfer.given_bytes
    waiting = Counter(id(record.process) for record in under_way)
    opened = Counter(id(transfer.process) for transfer in transfers)
    known = {id(each): each for each in activity.processes.known()}
    known |= {id(each.process): each.process for each in transfers}
    known |= {id(each.process): each.process for each in under_way}
    known |= {id(each): each for each in (activity.processes.nobody, activity.own)}
    shown = sorted(
        known.values(), key=lambda each: (-waiting[id(each)], -opened[id(each)], -each.seen_at)
    )
    return [
        {
            **_program(process),
            "bytes": process.bytes + given[id(process)],
            "calls": process.calls,
            "requests": process.requests,
            "waiting": waiting[id(process)],
            "open_files": opened[id(process)],
            "seen_s": round(now - process.seen_at, 1) if process.seen_at else None,
        }
        for process in shown[:PROCESSES_MAX]
        if (process.requests or process.calls) and process.pid != os.getpid()
    ]


def _transfers(drive: Drive, now: float) -> list[dict[str, Any]]:
    """Open files, those opened last first."""
    transfers: list[Transfer] = sorted(
        drive.activity.transfers(), key=lambda transfer: -transfer.opened_at
    )
    return [
        {
            "path": transfer.path,
            **_program(transfer.process),
            "size": transfer.size_bytes,
            "given": transfer.given_bytes,
            "open_s": round(now - transfer.opened_at, 1),
        }
        for transfer in transfers[:TRANSFERS_MAX]
    ]
