"""The table of a run as Markdown, from its JSON: ``python -m tests.bench.markdown FILE``."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from statistics import median
from typing import Any

from tests.bench.results import short

_MARKS = {True: "met", False: "**missed**", None: "not measured"}


def table(run: dict[str, Any]) -> str:
    """Machine, then a line for each row, then the notes."""
    machine, versions = run["machine"], run["versions"]
    lines = [
        f"{run['date']}, commit `{run['commit']}`, {run['rounds']} rounds; {machine['cpus']} × "
        f"{machine['cpu']}, {machine['memory_gib']} GiB, kernel {machine['kernel']}; "
        f"disk {machine['disk_mb_per_s']} MB/s (dd oflag=direct), Python "
        f"{machine['python_ns_per_step']} ns a step (a fixed loop); load "
        f"{machine['load_at_start']:.1f} at the start, {machine['load_at_end']:.1f} at the end; "
        + ", ".join(f"{name} {_number(text)}" for name, text in versions.items())
        + ".",
        "",
        "| row | medians (lowest–highest) | goal | figure | |",
        "|---|---|---|---|---|",
    ]
    for row in run["rows"]:
        figures = "<br>".join(_series(name, each) for name, each in row["series"].items())
        goals = "<br>".join(each["goal"] for each in row["verdicts"])
        said = "<br>".join(each["figure"] for each in row["verdicts"])
        marks = "<br>".join(_MARKS[each["met"]] for each in row["verdicts"])
        if row["error"]:
            said, marks = row["error"][:100], "**failed**"
        lines.append(f"| {row['row']} | {figures} | {goals} | {said} | {marks} |")
    lines.append("")
    lines += [f"- {row['row']}: {note}" for row in run["rows"] for note in row["notes"]]
    return "\n".join(lines) + "\n"


def _series(name: str, each: dict[str, Any]) -> str:
    values = each["values"]
    if not values:
        return name
    spread = f"{short(min(values))}–{short(max(values))}"
    return f"{name} {short(median(values))} {each['unit']} ({spread})"


def _number(text: str) -> str:
    """``rclone v1.75.2`` → ``1.75.2``."""
    found = re.search(r"\d+(\.\d+)+", text)
    return found.group() if found else text or "?"


if __name__ == "__main__":
    sys.stdout.write(table(json.loads(Path(sys.argv[1]).read_text())))
