"""Which states of a mount a person is told of, by a notification of the desktop. Pure.

Few, and each once until it ends: a drive that talks is a drive that is switched off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

OFFLINE_S = 600.0
"""A train's tunnel, a router's start: shorter ones are nobody's concern."""
SIGNED_OUT, PINNED, NO_ROOM, OFFLINE = "signed_out", "pinned", "no_room", "offline"
CONFLICT, FAILED, DELETIONS = "conflict", "failed", "deletions"
DELETIONS_MIN = 50
"""So many at once may be a mistake, and can be taken back for a minute."""


class Notice(NamedTuple):
    """What a person reads. Plain text."""

    kind: str
    summary: str
    body: str


@dataclass(frozen=True, slots=True)
class Memory:
    """What was seen so far."""

    shown: frozenset[str] = frozenset()
    """Kinds whose state has not ended since."""
    offline_at: float | None = None
    """Since when (trio's clock) it is offline without having been asked to."""
    incomplete: bool = False
    """Pins were on their way when last seen."""
    complete_total: int = 0
    """Pinned files when the pins were complete last: new versions of the same files are no news."""


def notices(
    memory: Memory, status: Mapping[str, Any], now: float, mountpoint: str
) -> tuple[Memory, list[Notice]]:
    """What to remember, and what to show now. ``now`` is trio's clock."""
    state, pins = status.get("state", "online"), status.get("pins") or {}
    writing = status.get("writing") or {}
    total, done = pins.get("total") or 0, pins.get("done") or 0
    complete = 0 < total <= done
    offline_at = memory.offline_at
    if state != "offline":
        offline_at = None
    elif offline_at is None:
        offline_at = now
    going_on = {
        SIGNED_OUT: state == "signed_out" or (state != "online" and SIGNED_OUT in memory.shown),
        NO_ROOM: bool(pins.get("no_room")),
        CONFLICT: bool(writing.get("conflicts")),
        FAILED: bool(writing.get("failed")),
        DELETIONS: (writing.get("deletions") or 0) >= DELETIONS_MIN,
        OFFLINE: offline_at is not None and _long_offline(memory, status, now - offline_at),
    }
    shown = frozenset(kind for kind, here in going_on.items() if here)
    new = sorted(shown - memory.shown)
    if complete and memory.incomplete and total > memory.complete_total:
        new.append(PINNED)
    after = replace(
        memory,
        shown=shown,
        offline_at=offline_at,
        incomplete=total > done,
        complete_total=total if complete else min(memory.complete_total, total),
    )
    return after, list(_in_words(new, status, mountpoint))


def _long_offline(memory: Memory, status: Mapping[str, Any], offline_s: float) -> bool:
    """Begins with a file open, and lasts until it is online again."""
    return OFFLINE in memory.shown or (offline_s >= OFFLINE_S and bool(status.get("open_files")))


def _in_words(kinds: list[str], status: Mapping[str, Any], mountpoint: str) -> Iterator[Notice]:
    total = (status.get("pins") or {}).get("total") or 0
    writing = status.get("writing") or {}
    first = next((str(row["path"]) for row in writing.get("bad") or ()), "A file")
    texts = {
        SIGNED_OUT: (
            "Signed out of Autodesk",
            f"The drive at {mountpoint} shows what it has. Run: dmfs login",
        ),
        NO_ROOM: (
            "No room for pinned files",
            f"The cache of the drive at {mountpoint} is full. Raise cache_size, or unpin some.",
        ),
        OFFLINE: (
            "The drive is offline",
            f"Autodesk cannot be reached for ten minutes, and files at {mountpoint} are open.",
        ),
        CONFLICT: (
            "Somebody else changed your file",
            f"Both are there: yours went up beside it as {first.rpartition('/')[2]}.",
        ),
        FAILED: (
            "A saved file does not go up",
            f"{first} is safe on this machine and needs you. Run: dmfs uploads",
        ),
        DELETIONS: (
            f"{writing.get('deletions') or 0} files are about to be deleted",
            f"A mistake at {mountpoint}? Put them back, or run: dmfs uploads discard PATH",
        ),
        PINNED: (
            "Pinned files are here",
            f"{total} {'file' if total == 1 else 'files'} at {mountpoint} can be read offline.",
        ),
    }
    for kind in kinds:
        yield Notice(kind, *texts[kind])
