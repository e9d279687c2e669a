"""find: one name among 50 000 known entries, from exec to exit, without a mount."""

from __future__ import annotations

import sys

from tests.bench.context import Bench
from tests.bench.processes import CommandFailed, run
from tests.bench.registry import row
from tests.bench.results import Result
from tests.bench.rows.start import command_of_dmfs, environment_of, timed
from tests.bench.service import LOCAL, SOURCE

FOLDERS, FILES = 2000, 48_000
_LISTING_S = 600
_MOST_MS = 300


@row("find", "dmfs find among 50,000 known entries in 2,000 folders; python3 -c pass")
def find(bench: Bench, result: Result) -> None:
    with bench.service(f"tree:folders={FOLDERS},files={FILES},depth=6", LOCAL, shelf=False) as it:
        env = environment_of(bench, it)
        dmfs = command_of_dmfs()
        run([*dmfs, "refresh", "-r", f"{SOURCE}/tree"], _LISTING_S, env)  # now it is known
        it.emulator.reset()
        one = [*dmfs, "find", f"{SOURCE}/tree", "-name", "f01234.dat"]
        series = bench.alternate(
            result,
            "ms",
            {
                "python3 -c pass": timed([sys.executable, "-c", "pass"], env),
                "one name": timed(one, env),
                "every path": timed([*dmfs, "find", f"{SOURCE}/tree"], env),
            },
        )
        if any(it.emulator.counts().values()):
            raise CommandFailed("dmfs find in a known tree called the service")
    result.limit("one name ≤ 300 ms", series["one name"].median, _MOST_MS, "ms")
