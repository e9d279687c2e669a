"""Runs the long forms of the hostile tests one after the other and prints the table."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = "tests/hostile"


@dataclass
class Part:
    """A run of pytest, with how much of it: in a night, and in short."""

    name: str
    tests: list[str]
    night: dict[str, str] = field(default_factory=dict)
    short: dict[str, str] = field(default_factory=dict)


PARTS = [
    Part("examples", [f"{HERE}/test_regressions.py"]),
    Part(
        "matrix", [f"{HERE}/test_matrix.py"],
        {"DMFS_MATRIX": "full"}, {"DMFS_MATRIX": "full"},
    ),
    Part(
        "model", [f"{HERE}/test_model.py"],
        {"DMFS_MODEL_EXAMPLES": "50000", "DMFS_MODEL_STEPS": "150", "DMFS_MODEL_LONG": "200000"},
        {"DMFS_MODEL_EXAMPLES": "1500", "DMFS_MODEL_STEPS": "100", "DMFS_MODEL_LONG": "10000"},
    ),
    Part(
        "mounted model", [f"{HERE}/test_mount_model.py"],
        {"DMFS_MOUNT_MODEL_STEPS": "10000"}, {"DMFS_MOUNT_MODEL_STEPS": "600"},
    ),
    Part(
        "crash", [f"{HERE}/test_mounted.py", "-k", "killed or deleted"],
        {"DMFS_CRASH_ROUNDS": "200"}, {"DMFS_CRASH_ROUNDS": "25"},
    ),
    Part(
        "load", [f"{HERE}/test_mounted.py", "-k", "many_processes"],
        {"DMFS_LOAD_S": "600", "DMFS_LOAD_PROCESSES": "64"},
        {"DMFS_LOAD_S": "60", "DMFS_LOAD_PROCESSES": "64"},
    ),
    Part(
        "fuzz", [f"{HERE}/test_security.py"], {"DMFS_FUZZ": "1000000"}, {"DMFS_FUZZ": "2000"},
    ),
]  # fmt: skip


def run(part: Part, out: Path, *, short: bool) -> dict[str, object]:
    """One part; what pytest counted."""
    environ = {
        **os.environ, **(part.short if short else part.night),
        "DMFS_HOSTILE_REPORT": str(out / "mounted.jsonl"),
        "DMFS_MATRIX_REPORT": str(out / "matrix.md"),
    }  # fmt: skip
    started = time.monotonic()
    with (out / f"{part.name}.log").open("w") as log:
        subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-s", "--timeout=36000", *part.tests],
            cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT, check=False,
        )  # fmt: skip
    text = (out / f"{part.name}.log").read_text("utf-8", "replace")
    counts = {kind: int(n) for n, kind in re.findall(r"(\d+) (passed|failed|error)", text[-3000:])}
    return {
        "passed": counts.get("passed", 0),
        "failed": counts.get("failed", 0) + counts.get("error", 0) + (not counts),
        "seconds": time.monotonic() - started,
        "hangs": len(re.findall(r"Timeout >|HandsTimeout|HANG", text)),
    }


def table(results: dict[str, dict[str, object]], out: Path) -> str:
    """What the night found, as markdown."""
    numbers: dict[str, float] = {}
    if (out / "mounted.jsonl").exists():
        for line in (out / "mounted.jsonl").read_text().splitlines():
            numbers |= json.loads(line)
    if (out / "matrix.json").exists():
        numbers |= json.loads((out / "matrix.json").read_text())
    wrong = ["wrong bytes", "crash_wrong", "load_wrong"]
    hangs = numbers.get("hangs", 0) + sum(int(str(each["hangs"])) for each in results.values())
    failed = {name: each for name, each in results.items() if each["failed"]}
    rows = {
        "cells of the fault matrix": numbers.get("cells", "not run"),
        "cells with an outcome that no rule foresees": numbers.get("unexpected", "not run"),
        "wrong bytes": sum(numbers.get(key, 0) for key in wrong),
        "hangs": hangs,
        "slowest cell (s)": round(numbers.get("slowest", 0), 1),
        "kills with kill -9": numbers.get("kills", "not run"),
        "mounts that did not come back": numbers.get("lost_mounts", "not run"),
        "load (processes × s)": f"{numbers.get('load_processes')} × {numbers.get('load_s')}",
        "operations under load": numbers.get("operations", "not run"),
        "read under load (GiB)": numbers.get("gib", "not run"),
        "slowest operation under load (s)": numbers.get("slowest_s", "not run"),
        "leaks (slots, pins, files, descriptors, threads, tasks)": "see load"
        if "load" in failed
        else 0 if "load" in results else "not run",
        "peak RSS (MiB)": numbers.get("peak_rss_mib", "not run"),
    }  # fmt: skip
    lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items())]
    lines += ["", "| part | tests passed | failed | s |", "|---|---|---|---|"]
    for name, each in results.items():
        lines.append(f"| {name} | {each['passed']} | {each['failed']} | {each['seconds']:.0f} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/nightly")
    parser.add_argument("--short", action="store_true", help="some ten minutes")
    parser.add_argument("--only", default="", help="parts, with commas between them")
    args = parser.parse_args()
    wanted = [word.strip() for word in args.only.split(",") if word.strip()]
    unknown = set(wanted) - {part.name for part in PARTS}
    if unknown:
        parser.error(f"no such part: {sorted(unknown)} (there are {[p.name for p in PARTS]})")
    out = Path(tempfile.mkdtemp(prefix="dmfs-nightly-"))
    print(f"nightly: writing to {out}", flush=True)
    results = {}
    for part in PARTS:
        if not wanted or part.name in wanted:
            print(f"nightly: {part.name} …", flush=True)
            results[part.name] = run(part, out, short=args.short)
    told = table(results, out)
    (out / "table.md").write_text(told + "\n")
    print(told)
    return 1 if any(each["failed"] for each in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
