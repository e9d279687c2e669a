"""``scripts/bench``: arguments, the run, the table."""

from __future__ import annotations

import argparse
import json
import os
import signal
import time
from pathlib import Path
from types import FrameType

from rich.console import Console

from tests.bench import passes
from tests.bench import rows as _rows  # noqa: F401 - enters the rows
from tests.bench.context import Bench
from tests.bench.machine import describe
from tests.bench.places import Places
from tests.bench.python import package_root
from tests.bench.registry import ROWS, Row
from tests.bench.results import Result
from tests.bench.table import print_result, print_table
from tests.bench.tools import Tools

_ROUNDS, _QUICK_ROUNDS = 5, 2
_ROW_TIMEOUT_S = 900
_DATA_BYTES = 3 << 30
"""Two files of 1 GiB for nginx, or what aria2c writes."""


class RowTimeout(Exception):
    """A row took far too long."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench", description="dmfs beside its rivals and the limit, in one run."
    )
    add = parser.add_argument
    add("--row", action="append", choices=list(ROWS), metavar="NAME", help="only this (repeatable)")
    add("--quick", action="store_true", help="two rounds of everything, smaller data")
    add("--rounds", type=int, help=f"default {_ROUNDS}, with --quick {_QUICK_ROUNDS}")
    add("--json", type=Path, metavar="FILE", help="figures with machine and versions")
    add("--disk", type=Path, default=Path("/var/tmp"), metavar="DIR",
        help="where caches are kept while it runs: a real disk (default %(default)s)")  # fmt: skip
    add("--src", type=Path, metavar="DIR", help="measure the dmfs of another checkout")
    add("--list", action="store_true", help="say which rows there are")
    add("--half-cpu", action="store_true",
        help="then the sequential rows (or those named) again with half the CPU")  # fmt: skip
    add("--as-user", action="store_true", help="and again as an ordinary user, who has no root")
    add("--plots", type=Path, nargs="?", const=Path("docs"), metavar="DIR",
        help="draw the two plots of docs/performance.md instead")  # fmt: skip
    return parser


def main(arguments: list[str]) -> int:
    """0: ran (whether or not goals are met); 1: a row failed; 2: usage."""
    given = _parser().parse_args(arguments)
    console = Console(highlight=False)
    if given.list:
        for row in ROWS.values():
            console.print(f"{row.name:<14} {row.workload}")
        return 0
    if given.src:
        os.environ["BENCH_SRC"] = str(package_root(given.src))
    signal.signal(signal.SIGTERM, _interrupt)
    tools = Tools()
    for name, package in tools.missing.items():
        console.print(f"bench: no {name} here ({package}); its columns are left out")
    rounds = given.rounds or (_QUICK_ROUNDS if given.quick else _ROUNDS)
    about = describe(tools, given.disk)
    results: list[Result] = []
    try:
        with Places(given.disk, _DATA_BYTES) as places:
            bench = Bench(places, tools, rounds, given.quick, console)
            if given.plots:
                from tests.bench.plots import draw_all

                draw_all(bench, given.plots)
                return 0
            if not places.in_memory:
                console.print("bench: memory is too small for the data; they lie on disk")
            if os.getuid() != 0:
                console.print("bench: not root: the page cache cannot be dropped; see warm-disk")
            for name in given.row or ROWS:
                results.append(_run(bench, ROWS[name]))
                print_result(console, results[-1])
        if "BENCH_PASS" not in os.environ:
            results += _passes(given, console)
    except KeyboardInterrupt:
        console.print("bench: interrupted; cleaned up")
    about |= {"quick": given.quick, "rounds": rounds, "rows": [each.as_dict() for each in results]}
    about["machine"]["load_at_end"] = os.getloadavg()[0]
    if given.json:
        given.json.write_text(json.dumps(about, indent=1) + "\n")
    print_table(console, results, about)
    return 1 if any(result.error for result in results) else 0


def _passes(given: argparse.Namespace, console: Console) -> list[Result]:
    """Rows under other conditions, as results of their own."""
    arguments = [f"--rounds={given.rounds}"] if given.rounds else []
    arguments += ["--quick"] if given.quick else []
    found: list[Result] = []
    for asked, condition, run in (
        (given.half_cpu, "half CPU", passes.run_half_cpu),
        (given.as_user, "as user", passes.run_as_user),
    ):
        if not asked:
            continue
        console.print(f"[bold]{condition}[/]")
        try:
            told = run(arguments, given.row or passes.ROWS, given.disk)
        except passes.PassImpossible as error:
            found.append(Result(condition, "", error=str(error)))
            console.print(f"bench: {condition}: {error}")
        else:
            found += [Result.of_dict(each) for each in told]
    return found


def _run(bench: Bench, row: Row) -> Result:
    """One row; what goes wrong in it is its result and not the end of the run."""
    result = Result(row.name, row.workload)
    bench.console.print(f"[bold]{row.name}[/] {row.workload}")
    began = time.monotonic()
    signal.signal(signal.SIGALRM, _ring)
    signal.alarm(_ROW_TIMEOUT_S)
    try:
        row.run(bench, result)
    except Exception as error:  # noqa: BLE001 - one row must not end the run
        result.error = f"{type(error).__name__}: {error}"
    finally:
        signal.alarm(0)
    result.seconds = time.monotonic() - began
    return result


def _ring(_number: int, _frame: FrameType | None) -> None:
    raise RowTimeout(f"more than {_ROW_TIMEOUT_S} s")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
