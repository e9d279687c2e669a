"""The rows of the table, in its order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.context import Bench
from tests.bench.results import Result

Run = Callable[[Bench, Result], None]


@dataclass(frozen=True)
class Row:
    """One line of the table. ``run`` fills in the result."""

    name: str
    workload: str
    run: Run


ROWS: dict[str, Row] = {}


def row(name: str, workload: str) -> Callable[[Run], Run]:
    """Enter a function as a row."""

    def enter(function: Run) -> Run:
        ROWS[name] = Row(name, workload, function)
        return function

    return enter
