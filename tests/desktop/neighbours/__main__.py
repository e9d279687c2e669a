"""``python -m tests.desktop.neighbours``: the neighbours one after the other, a row for each."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.desktop.neighbours.programs import NEIGHBOURS, Neighbour
from tests.desktop.neighbours.rows import Row, both, table, wrong
from tests.desktop.neighbours.runs import ALL_FOLDERS, let_loose, world
from tests.support.apt import install
from tests.support.mounts import leftovers, why_no_mounts
from tests.support.ordinary import CHECKOUT, as_nobody, nobodys_directory, why_not

SECONDS = 40.0
IMPOSSIBLE = 77


OWN = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
"""Mounts and processes of its own, which end with it."""


def as_ordinary_user(words: list[str], into: Path) -> int:
    """The same again as ``nobody``; its rows are in a file then."""
    with nobodys_directory() as work:
        if (why := why_not(work, "true", own=OWN)) != "":
            print(f"root cannot drop to an ordinary user here: {why}")
            return IMPOSSIBLE
        rows, at = work / "rows.json", str(work)
        words = [sys.executable, "-m", "tests.desktop.neighbours", *words, "--json", str(rows)]
        done = subprocess.run(
            as_nobody(work, *words, own=OWN),
            cwd=CHECKOUT, check=False,
            env={**os.environ, "HOME": at, "TMPDIR": at, "PYTHONDONTWRITEBYTECODE": "1"},
        )  # fmt: skip
        if rows.exists():
            into.write_bytes(rows.read_bytes())
    return done.returncode


def run_all(neighbours: list[Neighbour], seconds: float, *, types: bool) -> tuple[list[Row], int]:
    """Their rows, and how many of them could not be run or failed to."""
    rows, failed = [], 0
    with world() as emulator:
        for each in neighbours:
            if each.missing:
                print(f"left out: {each.name} ({each.packages} cannot be installed)", flush=True)
                continue
            print(f"{each.name} …", flush=True)
            try:
                rows.append(let_loose(each, emulator, seconds, types=types))
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                print(f"FAILED {each.name}: {error!r}", flush=True)
                failed += 1
    return rows, failed + len(leftovers())


def judged(rows: list[Row], failed: int, *, lenient: bool) -> int:
    """Prints what broke a bound, and how many did not; an exit status."""
    bad = 0
    for row in rows:
        found = list(wrong(row, ALL_FOLDERS))
        bad += bool(found)
        for words in found:
            print(f"WRONG {row.neighbour}: {words}", flush=True)
    print(f"{len(rows) - bad} passed, {bad + failed} failed", flush=True)
    if not (rows or failed):
        print("none of them can be installed here")
        return IMPOSSIBLE
    return 0 if lenient else int(bool(bad + failed))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.desktop.neighbours")
    parser.add_argument("--only", default="", help="words of names, with commas between them")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="for each, at most")
    parser.add_argument("--json", type=Path, help="write the rows there, too")
    parser.add_argument("--before", type=Path, help="rows of an earlier run, to compare with")
    parser.add_argument("--without-types", action="store_true",
                        help="no list of types, no thumbnailer (dmfs desktop install)")  # fmt: skip
    parser.add_argument("--lenient", action="store_true", help="measure only: exit status 0")
    args = parser.parse_args()
    wanted = [word for word in args.only.split(",") if word]
    chosen = [each for each in NEIGHBOURS if not wanted or any(w in each.name for w in wanted)]
    with tempfile.TemporaryDirectory() as at:
        into = args.json or Path(at) / "rows.json"
        if os.geteuid() == 0:
            install(each.packages for each in chosen if each.missing)
            words = ["--only", args.only, "--seconds", str(args.seconds)]
            words += ["--without-types"] * args.without_types + ["--lenient"] * args.lenient
            status = as_ordinary_user(words, into)
        elif (why := why_no_mounts()) != "":
            print(f"no mounts here: {why}")
            return IMPOSSIBLE
        else:
            rows, failed = run_all(chosen, args.seconds, types=not args.without_types)
            into.write_text(json.dumps([row.as_dict() for row in rows], indent=1))
            print(table(rows))
            status = judged(rows, failed, lenient=args.lenient)
        if args.before and into.exists():
            print(both(read(args.before), read(into)))
    return status


def read(path: Path) -> list[Row]:
    """Rows that a run has written."""
    return [Row.of(each) for each in json.loads(path.read_text("utf-8"))]


if __name__ == "__main__":
    sys.exit(main())
