"""``python -m tests.desktop.tools``: the programs one after the other, a row for each."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.desktop.tools import documents
from tests.desktop.tools.programs import PROGRAMS
from tests.desktop.tools.rows import Row, table, wrong
from tests.desktop.tools.runs import proven, world
from tests.support.apt import install
from tests.support.mounts import leftovers, why_no_mounts

IMPOSSIBLE = 77


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.desktop.tools")
    parser.add_argument("--only", default="", help="words of names, with commas between them")
    parser.add_argument("--json", type=Path, help="write the rows there, too")
    args = parser.parse_args()
    if (why := why_no_mounts()) != "":
        print(f"no mounts here: {why}")
        return IMPOSSIBLE
    wanted = [word for word in args.only.split(",") if word]
    chosen = [each for each in PROGRAMS if not wanted or any(w in each.name for w in wanted)]
    if os.geteuid() == 0:
        install(each.packages for each in chosen if each.missing)
    documents.libraries()
    documents.make()
    rows: list[Row] = []
    failed = 0
    with tempfile.TemporaryDirectory(prefix="dmfs-tools-") as at, world(Path(at)) as emulator:
        for each in chosen:
            if each.missing or not (documents.DOCUMENTS / each.document).exists():
                print(f"left out: {each.name} ({each.packages} cannot be installed)", flush=True)
                continue
            print(f"{each.name} …", flush=True)
            try:
                rows.append(proven(each, emulator))
            except (AssertionError, OSError, subprocess.SubprocessError) as error:
                print(f"FAILED {each.name}: {error!r}", flush=True)
                failed += 1
    if args.json:
        args.json.write_text(json.dumps([row.as_dict() for row in rows], indent=1))
    print(table(rows))
    return judged(rows, failed + len(leftovers()))


def judged(rows: list[Row], failed: int) -> int:
    """Prints what broke a bound, and how many did not; an exit status."""
    bad = 0
    for row in rows:
        found = list(wrong(row))
        bad += bool(found)
        for words in found:
            print(f"WRONG {row.program}: {words}", flush=True)
    print(f"{len(rows) - bad} passed, {bad + failed} failed", flush=True)
    if not (rows or failed):
        print("none of them can be installed here")
        return IMPOSSIBLE
    return int(bool(bad + failed))


if __name__ == "__main__":
    sys.exit(main())
