"""What each operation costs as things grow: ``scripts/bench-growth``.

Every section has an operation's cost at three sizes, each ten times the one before, and the
exponent that fits: ``cost ~ n^exponent``. Where the cost is that of one step (an open, a lookup) 0
is linear in all; where it is that of a whole (a folder is listed), 1 is.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import platform
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARKS = "<!-- bench-growth -->", "<!-- /bench-growth -->"
SLACK = 0.25
"""A tree of 10⁶ is three levels deeper than one of 10³, and caches of the processor end."""
WHOLE = ("folder: ", "mounts: ")
"""Operations on all there is; others are steps."""

Row = tuple[str, int, float]


@dataclass(frozen=True)
class Section:
    """Rows of one kind: from ``module.function(counts)``."""

    name: str
    of: str
    """What grows."""
    module: str
    function: str
    counts: tuple[int, ...]
    """In a full run; a quick one has a tenth of each."""


SECTIONS = (
    Section("store", "objects at rest", "growth_store", "measure", (10**4, 10**5, 10**6)),
    Section("listings", "listings at rest, entries of a folder", "growth_listings", "measure",
            (10**3, 10**4, 10**5)),
    Section("calls", "processes that share a log of calls", "growth_listings", "measure_logs",
            (10, 100, 1000)),
    Section("folder", "entries of a mounted folder", "growth_mount", "measure_folder",
            (10**3, 10**4, 10**5)),
    Section("draft", "entries of a folder that is written in", "growth_mount", "measure_draft",
            (10**3, 10**4, 10**5)),
    Section("open", "open files", "growth_mount", "measure_open_files", (100, 1000, 10**4)),
    Section("mounts", "mounts and their logs", "growth_mount", "measure_mounts", (10, 100, 1000)),
)  # fmt: skip


def exponent(points: Sequence[tuple[int, float]]) -> float:
    """The slope of the line through (log n, log cost), by least squares; 0 for fewer than two."""
    logs = [(math.log(n), math.log(max(cost, 1e-9))) for n, cost in points]
    if len(logs) < 2:
        return 0.0
    middle_n = sum(n for n, _ in logs) / len(logs)
    middle_cost = sum(cost for _, cost in logs) / len(logs)
    spread = sum((n - middle_n) ** 2 for n, _ in logs)
    return sum((n - middle_n) * (cost - middle_cost) for n, cost in logs) / spread


def is_linear(operation: str, points: Sequence[tuple[int, float]]) -> bool:
    """Whether doing it for all takes time in proportion to their number, or less."""
    return exponent(points) <= (1.0 if operation.startswith(WHOLE) else 0.0) + SLACK


def by_operation(rows: Sequence[Row]) -> dict[str, list[tuple[int, float]]]:
    """(n, seconds) of each operation, in the order of its rows."""
    found: dict[str, list[tuple[int, float]]] = {}
    for operation, n, seconds in rows:
        found.setdefault(operation, []).append((n, seconds))
    return found


def told(seconds: float) -> str:
    """With its unit and three digits."""
    if seconds >= 1:
        return f"{seconds:,.0f} s" if seconds >= 100 else f"{seconds:.3g} s"
    return f"{seconds * 1e3:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.3g} µs"


def table(results: dict[str, list[Row]]) -> str:
    """Markdown: a line an operation, sections in their order."""
    about = (
        f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}, commit `{_commit()}`;"
        f" {os.cpu_count()} × {platform.machine()}, kernel {platform.release()}, python"
        f" {platform.python_version()}."
    )
    lines = [
        about,
        "",
        "| n is the number of | operation | cost at n | exponent | linear or better |",
        "|---|---|---|---|---|",
    ]
    for section in SECTIONS:
        for operation, points in by_operation(results.get(section.name, [])).items():
            costs = ", ".join(f"{n:,}: {told(seconds)}" for n, seconds in points)
            verdict = "yes" if is_linear(operation, points) else "**no**"
            lines.append(
                f"| {section.of} | {operation} | {costs} | {exponent(points):.2f} | {verdict} |"
            )
    return "\n".join(lines) + "\n"


def _commit() -> str:
    words = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def measured(section: Section, *, full: bool) -> list[Row]:
    """The section's rows."""
    module = importlib.import_module(f"tests.bench.{section.module}")
    counts = [count if full else count // 10 for count in section.counts]
    rows: list[Row] = getattr(module, section.function)(counts)
    return rows


def put_in_place(path: Path, text: str) -> None:
    """Between the marks of the document. SystemExit if it has none."""
    before, first, rest = path.read_text("utf-8").partition(MARKS[0])
    _, last, after = rest.partition(MARKS[1])
    if not first or not last:
        raise SystemExit(f"{path} has no place for the table ({MARKS[0]} … {MARKS[1]})")
    path.write_text(f"{before}{first}\n{text}{last}{after}", "utf-8")


def main(arguments: list[str] | None = None) -> int:
    """0: everything is linear or better; 1: something is not."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench-growth", description="what each operation costs as things grow"
    )
    names = [section.name for section in SECTIONS]
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(names))
    parser.add_argument(
        "--full", action="store_true", help="ten times as much of all: 15 minutes instead of 3"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="adds to what is there")
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="puts the table into its place"
    )
    given = parser.parse_args(arguments)
    unknown = set(given.sections) - set(names)
    if unknown:
        parser.error(f"unknown sections: {', '.join(sorted(unknown))}")
    results: dict[str, list[Row]] = {}
    if given.json and given.json.exists():
        for name, rows in json.loads(given.json.read_text()).items():
            results[name] = [(operation, n, seconds) for operation, n, seconds in rows]
    for section in SECTIONS:
        if given.sections and section.name not in given.sections:
            continue
        began = time.monotonic()
        results[section.name] = measured(section, full=given.full)
        print(f"{section.name}: {time.monotonic() - began:.0f} s", flush=True)
        if given.json:
            given.json.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    text = table(results)
    if given.markdown:
        put_in_place(given.markdown, text)
    print(text)
    grown = [by_operation(rows) for rows in results.values()]
    return int(any(not is_linear(*each) for rows in grown for each in rows.items()))


if __name__ == "__main__":
    raise SystemExit(main())
