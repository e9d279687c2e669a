"""The arithmetic of the desktop tools: a bound that is broken is told."""

from __future__ import annotations

from dataclasses import replace

from tests.desktop.tools.rows import Row, table, wrong

GOOD = Row("pdfinfo", "report.pdf", 15_000_000, True, 0, 1, 4, 1_400_000, 0.3, 0.1)


def test_a_run_within_its_bounds_has_nothing_wrong() -> None:
    assert not list(wrong(GOOD))
    assert not list(wrong(replace(GOOD, bytes=GOOD.size_bytes)))


def test_each_broken_bound_is_told() -> None:
    assert list(wrong(replace(GOOD, same=False)))
    assert list(wrong(replace(GOOD, signings=2)))
    assert list(wrong(replace(GOOD, gets=0)))
    assert list(wrong(replace(GOOD, bytes=2 * GOOD.size_bytes)))
    assert list(wrong(replace(GOOD, bytes_max=1_000_000)))


def test_a_row_is_a_line_of_the_table() -> None:
    assert table([GOOD]).splitlines()[2] == (
        "| pdfinfo | report.pdf | 15.0 | the same | 1 | 4 | 1.40 | 9.3% | 0.3 | 0.1 |"
    )
