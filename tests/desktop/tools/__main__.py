"""``python -m tests.desktop.tools``: the programs one after the other, a row for each."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

from tests.desktop.running import IMPOSSIBLE, chosen, judged, run_each
from tests.desktop.tools import documents
from tests.desktop.tools.programs import PROGRAMS, Program
from tests.desktop.tools.rows import table, wrong
from tests.desktop.tools.runs import proven, world
from tests.support.apt import install
from tests.support.mounts import why_no_mounts


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.desktop.tools")
    parser.add_argument("--only", default="", help="words of names, with commas between them")
    parser.add_argument("--json", type=Path, help="write the rows there, too")
    args = parser.parse_args()
    if (why := why_no_mounts()) != "":
        print(f"no mounts here: {why}")
        return IMPOSSIBLE
    some = chosen(PROGRAMS, args.only)
    install(each.packages for each in some if each.missing)
    documents.libraries()
    documents.make()

    def missing(each: Program) -> bool:
        return each.missing or not documents.has(each.document)

    with tempfile.TemporaryDirectory(prefix="dmfs-tools-") as at, world(Path(at)) as emulator:
        rows, failed = run_each(some, lambda each: proven(each, emulator), missing)
    if args.json:
        args.json.write_text(json.dumps([row.as_dict() for row in rows], indent=1))
    print(table(rows))
    return judged(rows, failed, lambda row: row.program, wrong)


if __name__ == "__main__":
    sys.exit(main())
