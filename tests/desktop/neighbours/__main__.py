"""``python -m tests.desktop.neighbours``: the neighbours one after the other, a row for each."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.desktop.neighbours.programs import NEIGHBOURS
from tests.desktop.neighbours.rows import Row, both, table, wrong
from tests.desktop.neighbours.runs import ALL_FOLDERS, let_loose, world
from tests.desktop.running import IMPOSSIBLE, chosen, judged, run_each
from tests.support.apt import install
from tests.support.mounts import why_no_mounts
from tests.support.ordinary import CHECKOUT, as_nobody, nobodys_directory, why_not

SECONDS = 40.0

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
    some = chosen(NEIGHBOURS, args.only)
    with tempfile.TemporaryDirectory() as at:
        into = args.json or Path(at) / "rows.json"
        if os.geteuid() == 0:
            install(each.packages for each in some if each.missing)
            words = ["--only", args.only, "--seconds", str(args.seconds)]
            words += ["--without-types"] * args.without_types + ["--lenient"] * args.lenient
            status = as_ordinary_user(words, into)
        elif (why := why_no_mounts()) != "":
            print(f"no mounts here: {why}")
            return IMPOSSIBLE
        else:
            types = not args.without_types
            with world() as emulator:
                rows, failed = run_each(
                    some, lambda each: let_loose(each, emulator, args.seconds, types=types)
                )
            into.write_text(json.dumps([row.as_dict() for row in rows], indent=1))
            print(table(rows))
            status = judged(
                rows, failed, lambda row: row.neighbour, lambda row: wrong(row, ALL_FOLDERS)
            )
            if args.lenient and status != IMPOSSIBLE:
                status = 0
        if args.before and into.exists():
            print(both(read(args.before), read(into)))
    return status


def read(path: Path) -> list[Row]:
    """Rows that a run has written."""
    return [Row.of(each) for each in json.loads(path.read_text("utf-8"))]


if __name__ == "__main__":
    sys.exit(main())
