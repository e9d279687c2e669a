"""Figures and verdicts for people."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

from tests.bench.results import Result, short

_MARKS = {True: "[green]met[/]", False: "[red]MISSED[/]", None: "[yellow]?[/]"}


def print_result(console: Console, result: Result) -> None:
    """A row as soon as it is done."""
    for series in result.series:
        console.print(
            f"  {series.name:<24} {short(series.median):>8} {series.unit}  ({series.spread})"
        )
    for verdict in result.verdicts:
        console.print(f"  {_MARKS[verdict.met]} {verdict.goal}: {verdict.figure}")
    if result.error:
        console.print(f"  [red]FAILED[/] {result.error}", markup=True)
    console.print(f"  [dim]{result.seconds:.0f} s[/]")


def print_table(console: Console, results: list[Result], about: dict[str, Any]) -> None:
    """The whole table."""
    machine = about["machine"]
    table = Table(
        title=f"{machine['cpus']} × {machine['cpu']}, {machine['memory_gib']} GiB, "
        f"kernel {machine['kernel']}, disk {machine['disk_mb_per_s']} MB/s, "
        f"Python {machine['python_ns_per_step']} ns a step, {about['date']}, "
        f"commit {about['commit']}, "
        f"{about['rounds']} rounds, load {machine['load_at_start']:.1f}–"
        f"{machine['load_at_end']:.1f}"
    )
    for heading in ("row", "median (spread)", "goal", "figure", ""):
        table.add_column(heading)
    for result in results:
        figures = "\n".join(
            f"{series.name} {short(series.median)} {series.unit} ({series.spread})"
            for series in result.series
        )
        goals = "\n".join(verdict.goal for verdict in result.verdicts)
        said = "\n".join(verdict.figure for verdict in result.verdicts)
        marks = "\n".join(_MARKS[verdict.met] for verdict in result.verdicts)
        if result.error:
            said, marks = result.error[:60], "[red]FAILED[/]"
        table.add_row(result.row, figures, goals, said, marks, end_section=True)
    console.print(table)
    for result in results:
        for note in result.notes:
            console.print(f"{result.row}: {note}", style="dim")
