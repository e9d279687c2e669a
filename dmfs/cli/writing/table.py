"""What waits, as lines for people. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from dmfs.cli.control.words import duration, plural, size
from dmfs.names import printable

Row = Mapping[str, Any]
BAD = ("failed", "conflict")
OPEN = ("waiting", "uploading")
FILE = "file"
LEAST_LEFT_S = 10.0
"""What takes less is over before it is read."""


def lines(report: Mapping[str, Any]) -> list[str]:
    """A line for each row, and what is to be said of all."""
    rows: Sequence[Row] = report["uploads"]
    shown = [printable(_line(row)) for row in rows]
    if rows or not (report.get("others") or report.get("damaged")):
        shown.append(printable(summary(rows, report.get("left_s", 0.0))))
    if report.get("others"):
        files = plural(report["others"], "file")
        shown.append(f"{files} of another sign-in: they go on when that one is back")
    if report.get("damaged"):
        shown.append(printable(f"damaged: {report['damaged']}"))
    return shown


def _line(row: Row) -> str:
    words = [f"{row['state']:<10}", f"{_amount(row):<12}", row["path"]]
    facts = [_pace(row), row["reason"], _next(row)]
    remarks = "; ".join(filter(None, facts))
    return "  ".join(words) + (f"  ({remarks})" if remarks else "")


def _amount(row: Row) -> str:
    if row["what"] != FILE:
        return str(row["what"])
    if row["state"] == "uploading" and row["size_bytes"]:
        return f"{100 * row['done_bytes'] // row['size_bytes']} % of {size(row['size_bytes'])}"
    return size(row["size_bytes"])


def _pace(row: Row) -> str:
    if not row["rate"] or row["state"] != "uploading":
        return ""
    left_s = (row["size_bytes"] - row["done_bytes"]) / row["rate"]
    return f"{size(row['rate'])}/s, {duration(left_s)} left"


def _next(row: Row) -> str:
    return f"again in {duration(row['next_try_s'])}" if row["next_try_s"] else ""


def summary(rows: Sequence[Row], left_s: float = 0.0) -> str:
    """In one line. ``left_s``: until all is up; 0: nobody knows."""
    states = Counter(row["state"] for row in rows)
    waiting = sum(row["size_bytes"] for row in rows if row["state"] in OPEN)
    words = [
        f"{states[state]:,} {state}"
        for state in ("uploading", "waiting", "failed", "conflict", "local")
        if states[state]
    ]
    if not words:
        return "nothing waits: all that was saved is at the service"
    ends = [f"{size(waiting)} to send"] if waiting else []
    ends += [f"about {duration(left_s)} left"] if left_s >= LEAST_LEFT_S else []
    return ", ".join(words) + (f"; {', '.join(ends)}" if ends else "")


def is_bad(rows: Sequence[Row]) -> bool:
    """Whether a person has to look."""
    return any(row["state"] in BAD for row in rows)


def what_waits(rows: Sequence[Row]) -> str:
    """``3 files wait to go up, 1 failed``; '' if nothing does."""
    going = [row for row in rows if row["state"] in OPEN]
    files = sum(row["what"] == FILE for row in going)
    failed = sum(row["state"] == "failed" for row in rows)
    words = []
    if files:
        words.append(f"{plural(files, 'file')} {'waits' if files == 1 else 'wait'} to go up")
    if len(going) > files:
        count = len(going) - files
        end = "as well" if files else f"{'waits' if count == 1 else 'wait'} to go up"
        words.append(f"{plural(count, 'rename or deletion', 'renames or deletions')} {end}")
    if failed:
        words.append(f"{failed} failed")
    return ", ".join(words)
