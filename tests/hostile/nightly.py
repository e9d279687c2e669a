"""Runs the long forms of the hostile tests one after the other and prints the table."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.apt import install

ROOT = Path(__file__).resolve().parents[2]
HERE = "tests/hostile"
IMPOSSIBLE = 77
"""The exit status of a script that cannot run on this machine; its last line says why."""
PYTEST = ["-m", "pytest", "-q", "-s", "-rs", "--timeout=36000"]
AT_ONCE = ["-n", "4"]
"""For tests that wait more than they work (the matrix of writing uses a tenth of a core)."""


@dataclass
class Part:
    """A run of python (or of a script), with how much of it: in a night, and in short."""

    name: str
    words: list[str]
    night: dict[str, str] = field(default_factory=dict)
    short: dict[str, str] = field(default_factory=dict)
    script: bool = False
    long: bool = False
    """Left out of what is short, unless it is named."""
    packages: dict[str, str] = field(default_factory=dict)
    """By program: what it is installed from before the part, where it is not here."""

    @property
    def command(self) -> list[str]:
        return self.words if self.script else [sys.executable, *self.words]


PARTS = [
    Part("examples", [*PYTEST, f"{HERE}/test_regressions.py"]),
    Part(
        "matrix", [*PYTEST, f"{HERE}/test_matrix.py"],
        {"DMFS_MATRIX": "full"}, {"DMFS_MATRIX": "full"},
    ),
    Part(
        "crash", [*PYTEST, f"{HERE}/test_kills.py"],
        {"DMFS_CRASH_ROUNDS": "200"}, {"DMFS_CRASH_ROUNDS": "25"},
    ),
    Part(
        "pins", [*PYTEST, "tests/pins/test_killed.py"],
        {"DMFS_PIN_KILLS": "20"}, {"DMFS_PIN_KILLS": "5"},
    ),
    Part(
        "exports", [*PYTEST, "tests/exports/test_mounted.py", "-k", "killed"],
        {"DMFS_EXPORT_DESIGNS": "200", "DMFS_EXPORT_KILLS": "10"}, {},
    ),
    Part("disk", [*PYTEST, *(f"{HERE}/test_cache_disk{of}.py" for of in ("", "_filled", "_use"))]),
    Part(
        "load", [*PYTEST, f"{HERE}/test_load.py"],
        {"DMFS_LOAD_S": "600"}, {"DMFS_LOAD_S": "60"},
    ),
    Part(
        "memory", [*PYTEST, f"{HERE}/test_memory.py"],
        {"DMFS_MEMORY_INODES": "100000", "DMFS_MEMORY_S": "60"},
        {"DMFS_MEMORY_INODES": "100000", "DMFS_MEMORY_S": "20"},
    ),
    Part(
        "model", [*PYTEST, f"{HERE}/test_model.py"],
        {"DMFS_MODEL_EXAMPLES": "50000", "DMFS_MODEL_STEPS": "150", "DMFS_MODEL_LONG": "200000"},
        {"DMFS_MODEL_EXAMPLES": "1500", "DMFS_MODEL_STEPS": "100", "DMFS_MODEL_LONG": "10000"},
    ),
    Part(
        "mounted model", [*PYTEST, f"{HERE}/test_mount_model.py"],
        {"DMFS_MOUNT_MODEL_STEPS": "10000"}, {"DMFS_MOUNT_MODEL_STEPS": "600"},
    ),
    Part(
        "hypothesis", [*PYTEST, f"{HERE}/test_fuzzed_decoders.py", f"{HERE}/test_hostile_names.py"],
        {"HYPOTHESIS_PROFILE": "nightly"}, {"HYPOTHESIS_PROFILE": "nightly-short"},
    ),
    Part(
        "fuzz", ["-m", f"{HERE}.fuzz".replace("/", ".")],
        {"DMFS_FUZZ_INPUTS": "1000000"}, {"DMFS_FUZZ_INPUTS": "50000"},
    ),
    Part(
        "writing model",
        [*PYTEST, "tests/write/model/test_model.py", "tests/write/model/test_mounted_walk.py"],
        {
            "DMFS_WRITE_MODEL_SEEDS": "100", "DMFS_WRITE_MODEL_STEPS": "60",
            "DMFS_MOUNTED_WALKS": "40",
        },
        {"DMFS_WRITE_MODEL_SEEDS": "5", "DMFS_MOUNTED_WALKS": "4"},
    ),
    Part(
        "writing matrix", [*PYTEST, *AT_ONCE, "tests/write/model/test_fault_matrix.py"],
        {"DMFS_WRITE_MATRIX": "full"}, long=True,
    ),
    Part(
        "uploads killed",
        [*PYTEST, "tests/write/model/test_kills.py", "tests/write/model/test_deleted_in_doubt.py"],
        {"DMFS_WRITE_KILLS": "full"}, long=True,
    ),
    Part(
        "workers", [*PYTEST, "tests/spec/test_workers.py"],
        {"DMFS_SPEC_WORKERS": "16", "DMFS_SPEC_FILES": "496"}, {},
    ),
    Part("scale", ["-m", "tests.scale.run"], long=True),
    Part(
        "two machines", [*PYTEST, "tests/write/model/test_two_machines.py"],
        {"DMFS_WRITE_RACES": "1000"}, {"DMFS_WRITE_RACES": "60"},
    ),
    Part(
        "saves killed", [*PYTEST, "tests/write/kills/test_kills.py"],
        {"DMFS_SAVE_KILLS": "300"}, {"DMFS_SAVE_KILLS": "30"},
    ),
    Part(
        "sign-in killed", [*PYTEST, "tests/auth/test_kill.py"],
        {"DMFS_SIGN_IN_KILLS_EVERY": "1"}, {"DMFS_SIGN_IN_KILLS_EVERY": "1"},
    ),
    Part(
        "fsx", [*PYTEST, "tests/write/kills/test_fsx.py"],
        {"DMFS_FSX_S": "600"}, {"DMFS_FSX_S": "60"},
    ),
    Part(
        "fsspec's own", [*PYTEST, "tests/spec/changing/test_abstract.py"],
        {"HYPOTHESIS_PROFILE": "nightly"}, {"HYPOTHESIS_PROFILE": "nightly"},
    ),
    Part(
        "editors",
        [*PYTEST, "tests/write/saves/test_programs.py", "tests/write/saves/test_office.py"],
        packages={"vim": "vim", "emacs": "emacs-nox", "soffice": "libreoffice-calc python3-uno"},
        long=True,
    ),
    Part("pictures seen", [*PYTEST, "tests/desktop/thumbnails_seen.py"], long=True),
    Part(
        "neighbours", [sys.executable, "-m", "tests.desktop.neighbours"], script=True, long=True,
    ),
    Part("gateway", [sys.executable, "-m", "tests.hostile.gateway"], script=True, long=True),
    Part("tools", [sys.executable, "-m", "tests.desktop.tools"], script=True, long=True),
    Part(
        "menus", [*PYTEST, "tests/desktop/menus/test_nautilus.py"],
        {"DMFS_NAUTILUS": "1"}, {"DMFS_NAUTILUS": "1"},
    ),
    Part("engines", ["scripts/engines"], script=True, long=True),
    Part(
        "quota", [sys.executable, "-m", "tests.ratelimit.cluster.nightly_quota"],
        script=True, long=True,
    ),
    Part("debian13", ["scripts/debian13"], script=True, long=True),
    Part("system unit", [sys.executable, "-m", "tests.packaging.booted"], script=True, long=True),
    Part("package", ["scripts/package", "check"], script=True, long=True),
    Part("image", ["scripts/package", "image"], script=True, long=True),
    Part("rpm", ["scripts/package", "rpm"], script=True, long=True),
]  # fmt: skip


def why_not_run(part: Part, code: int, text: str) -> str:
    """Why nothing of a part ran, from its exit status and log; '' if something did."""
    last = (text.strip().splitlines() or ["it said nothing"])[-1]
    if part.script:
        return last if code == IMPOSSIBLE else ""
    if code != 0 or not re.match(r"=*\s*\d+ skipped(, \d+ deselected)? in ", last):
        return ""
    reasons = re.findall(r"^SKIPPED \[\d+\] (?:\S+: )?(.*)$", text, re.MULTILINE)
    return "; ".join(dict.fromkeys(reasons)) or last


def run(part: Part, out: Path, *, short: bool) -> dict[str, Any]:
    """One part; what pytest counted, or what the fuzzer found."""
    environ = {
        **os.environ, **(part.short if short else part.night),
        "DMFS_HOSTILE_REPORT": str(out / "mounted.jsonl"),
        "DMFS_MATRIX_REPORT": str(out / "matrix.md"),
        "PYTHONPATH": str(ROOT),
    }  # fmt: skip
    install(package for name, package in part.packages.items() if shutil.which(name) is None)
    started = time.monotonic()
    with (out / f"{part.name}.log").open("w") as log:
        code = subprocess.run(
            part.command,
            cwd=ROOT, env=environ, stdout=log, stderr=subprocess.STDOUT, check=False,
        ).returncode  # fmt: skip
    text = (out / f"{part.name}.log").read_text("utf-8", "replace")
    counts = {kind: int(n) for n, kind in re.findall(r"(\d+) (passed|failed|error)", text[-3000:])}
    rows = [json.loads(line) for line in text.splitlines() if line.startswith('{"decoder"')]
    failed = counts.get("failed", 0) + counts.get("error", 0)
    if (why := why_not_run(part, code, text)) != "":
        print(f"nightly: {part.name} was not run: {why}", flush=True)
        return {"passed": 0, "failed": 0, "seconds": 0.0, "hangs": 0, "fuzz": [], "short": short,
                "why": why}  # fmt: skip
    return {
        "passed": counts.get("passed", 0) + sum(not row["failures"] for row in rows),
        "failed": failed + sum(bool(row["failures"]) for row in rows) or int(code != 0),
        "seconds": time.monotonic() - started,
        "hangs": len(re.findall(r"Timeout >|HandsTimeout|HANG", text)),
        "fuzz": rows,
        "short": short,
    }


def figures(out: Path) -> dict[str, Any]:
    """What the tests reported."""
    found: dict[str, Any] = {}
    if (out / "mounted.jsonl").exists():
        for line in (out / "mounted.jsonl").read_text().splitlines():
            found |= json.loads(line)
    if (out / "matrix.json").exists():
        found |= json.loads((out / "matrix.json").read_text())
    return found


def table(results: dict[str, dict[str, Any]], out: Path, command: str) -> str:
    """What the night found, as markdown."""
    seen = figures(out)
    ran = {name: each for name, each in results.items() if "why" not in each}
    fuzz = ran.get("fuzz", {}).get("fuzz", [])
    speeds = [row["inputs"] / max(row["seconds"], 0.1) for row in fuzz]
    wrong = ("wrong bytes", "crash_wrong", "load_wrong")
    hangs = seen.get("hangs", 0) + sum(each["hangs"] for each in ran.values())
    rows: dict[str, str | None] = {
        "cells of the fault matrix": _told(seen, "{cells}"),
        "cells with an outcome that no rule foresees": _told(seen, "{unexpected}"),
        "slowest cell, of deadlines of 2.5 and 3 s": _told(seen, "{slowest:.1f} s"),
        "kills with `kill -9`, with mutilated cache files": _told(seen, "{kills}"),
        "mounts that did not come back": _told(seen, "{lost_mounts}"),
        "load": _told(seen, "{load_processes} processes × {load_s:.0f} s"),
        "operations under load": _told(seen, "{operations:,}, {gib} GiB read and compared"),
        "slowest operation under load": _told(seen, "{slowest_s} s"),
        "peak RSS under load (memory_budget 64 MiB)": _told(seen, "{peak_rss_mib} MiB"),
        "leaks (slots, pins, files, descriptors, threads, tasks)": _leaks(ran),
        "RSS with {memory_inodes:,} inodes known": _told(
            seen, "{memory_inodes_mib} MiB ({memory_start_mib} at the start,"
            " {memory_per_inode} bytes an inode)"
        ),
        "peak RSS, and {memory_files} files being read (memory_budget 192 MiB; goal 300 MiB)":
            _told(seen, "{memory_peak_mib} MiB"),
        "bad days of the cache's disk": str(ran["disk"]["passed"]) if "disk" in ran
            else None,
        "decoders fuzzed": f"{len(fuzz)}, with {min(row['inputs'] for row in fuzz):,} inputs each"
            f" ({min(speeds):,.0f} to {max(speeds):,.0f} a second)" if fuzz else None,
        "inputs that broke a decoder's rule":
            str(sum(len(row["failures"]) for row in fuzz)) if fuzz else None,
        "wrong bytes (but for those that cannot be caught)":
            str(sum(seen.get(key, 0) for key in wrong)) if seen.keys() & set(wrong) else None,
        "hangs": str(hangs) if ran else None,
    }  # fmt: skip
    lines = [f"`{command}`, on {os.cpu_count()} cores:", "", "| | |", "|---|---|"]
    for name, value in rows.items():
        title = _told(seen, name) or re.sub(r"\{[\w:,]+\} ", "", name)
        lines.append(f"| {title} | {value or 'not run'} |")
    lines += ["", "| part | passed | failed | s |", "|---|---|---|---|"]
    for name, each in results.items():
        short = f" (not run: {each['why']})" if "why" in each else " (short)" * each["short"]
        lines.append(
            f"| {name}{short} | {each['passed']} | {each['failed']} | {each['seconds']:.0f} |"
        )
    return "\n".join(lines)


def _told(seen: dict[str, Any], text: str) -> str | None:
    try:
        return text.format(**seen)
    except KeyError:
        return None


def _leaks(results: dict[str, dict[str, Any]]) -> str | None:
    if "load" not in results:
        return None
    return "see load" if results["load"]["failed"] else "0"


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/nightly")
    parser.add_argument("--short", action="store_true", help="some ten minutes")
    parser.add_argument("--only", default="", help="parts, with commas between them")
    parser.add_argument("--into", type=Path, help="add to what an earlier run wrote there")
    args = parser.parse_args()
    wanted = [word.strip() for word in args.only.split(",") if word.strip()]
    unknown = set(wanted) - {part.name for part in PARTS}
    if unknown:
        parser.error(f"no such part: {sorted(unknown)} (there are {[p.name for p in PARTS]})")
    out = args.into or Path(tempfile.mkdtemp(prefix="dmfs-nightly-"))
    out.mkdir(parents=True, exist_ok=True)
    print(f"nightly: writing to {out}", flush=True)
    memory = out / "results.json"
    results = json.loads(memory.read_text()) if memory.exists() else {}
    for part in PARTS:
        if part.name in wanted or not (wanted or (part.long and args.short)):
            print(f"nightly: {part.name} …", flush=True)
            found = run(part, out, short=args.short)
            # another run may have added its parts meanwhile
            results |= json.loads(memory.read_text()) if memory.exists() else {}
            results[part.name] = found
            memory.write_text(json.dumps(results))
    command = shlex.join(["scripts/nightly", *(["--short"] if args.short else [])])
    if set(results) != {part.name for part in PARTS if not (part.long and args.short)}:
        command += f" --only {shlex.quote(','.join(results))}"
    told = table(results, out, command)
    (out / "table.md").write_text(told + "\n")
    print(told)
    return 1 if any(each["failed"] for each in results.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
