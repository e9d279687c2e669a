"""``dmfs versions``: a table for people, one JSON object a line for programs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from dmfs.cli.control.bar import print_json
from dmfs.cli.control.runner import locate, run_job
from dmfs.cli.control.words import size
from dmfs.cli.settings import Invocation
from dmfs.names import printable

HEADINGS = ("version", "label", "modified (UTC)", "by", "size", "cached", "name")
RIGHT = (0, 1, 4, 5)
"""Columns of numbers."""


def versions_command(call: Invocation) -> int:
    """Every version of a file, the newest first."""
    located = locate(call, [call.options.path], any_mount=True)
    rows: list[Mapping[str, Any]] = []

    def show(event: Mapping[str, Any]) -> None:
        if event["event"] == "version":
            rows.append(event)
            if call.options.json:
                print_json({key: value for key, value in event.items() if key != "event"})

    status = run_job(call, "versions", located, {"path": located.paths[0]}, show)
    if not call.options.json:
        sys.stdout.write(table([cells(each) for each in rows]))
    return status


def cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    """What a line of the table says."""
    words = {"deleted": "(deleted)", "design": "(no bytes of its own)"}
    called = words.get(row["kind"], printable(row["name"]))
    return (
        f"v{row['number']}",
        printable(row["label"]),
        row["mtime"][:16].replace("T", " "),
        printable(row["author"]) or "-",
        size(row["size"]) if "size" in row else "-",
        f"{row['cached']} %" if "cached" in row else "-",
        called,
    )


def table(rows: Sequence[Sequence[str]]) -> str:
    """Aligned lines, the headings first."""
    lines = [HEADINGS, *rows]
    widths = [max(len(line[at]) for line in lines) for at in range(len(HEADINGS))]
    found = ""
    for line in lines:
        padded = [
            cell.rjust(width) if at in RIGHT else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        found += "  ".join(padded).rstrip() + "\n"
    return found
