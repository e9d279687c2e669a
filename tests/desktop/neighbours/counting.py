"""What a run cost, from the emulator's log and the drive's events."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.desktop.neighbours.person import NAME

LOG_LENGTH = 5000
"""Entries that the emulator remembers."""
OURS = {NAME, "dmfs", "-"}


@dataclass
class Spent:
    """Calls of the service."""

    listings: int = 0
    signings: int = 0
    gets: int = 0
    bytes: int = 0
    thumbnails: int = 0
    limited: int = 0
    note: str = ""


def spent(calls: Mapping[str, Any], persons_marks: Iterable[str]) -> Spent:
    """From what the emulator answers to ``GET calls``; what was signed and fetched for the person
    is left out, told by marks of their objects in the paths."""
    counts, log = calls["counts"], calls["log"]
    marks = tuple(persons_marks)
    theirs = Counter(
        entry["route"] for entry in log
        if entry["route"] in ("sign", "cdn_get") and any(mark in entry["path"] for mark in marks)
    )  # fmt: skip
    taken = sum(
        entry.get("bytes") or 0 for entry in log
        if entry["route"] == "cdn_get" and any(mark in entry["path"] for mark in marks)
    )  # fmt: skip
    return Spent(
        listings=counts.get("contents", 0),
        signings=counts.get("sign", 0) - theirs["sign"],
        gets=counts.get("cdn_get", 0) - theirs["cdn_get"],
        bytes=calls["cdn_bytes"] - taken,
        thumbnails=sum(count for route, count in counts.items() if "thumb" in route),
        limited=calls["status_429"],
        note="with some of the person's reads" if sum(counts.values()) > LOG_LENGTH else "",
    )


@dataclass
class Seen:
    """What the kernel asked for whom."""

    opened: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    walked: Counter[str] = field(default_factory=Counter)
    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By program and route."""
    dropped: int = 0
    """Events that were lost, for nobody took them quickly enough."""


def seen(lines: Iterable[str]) -> Seen:
    """Of lines of ``dmfs events -f``, without what we did ourselves."""
    found = Seen()
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            continue  # cut by the end of the run
        program = event.get("program", "-")
        if event.get("event") == "dropped":
            found.dropped += event["count"]
        elif event.get("event") == "call":
            found.calls[program, event["route"]] += 1
        elif event.get("event") == "access" and program not in OURS:
            if event["op"] == "open":
                (found.opened if event["outcome"] == "ok" else found.refused)[program] += 1
            elif event["op"] == "opendir":
                found.walked[program] += 1
    return found
