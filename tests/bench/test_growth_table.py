"""The table of growth: the exponent that it tells, and what it calls worse than linear."""

from __future__ import annotations

import pytest

from tests.bench.growth_table import MARKS, by_operation, exponent, is_linear, put_in_place, table

COUNTS = (1000, 10_000, 100_000)


@pytest.mark.parametrize("power", [-0.5, 0.0, 0.5, 1.0, 2.0])
def test_the_exponent_is_that_of_the_power(power: float) -> None:
    points = [(n, 3e-6 * n**power) for n in COUNTS]
    assert exponent(points) == pytest.approx(power)


def test_a_step_that_looks_at_all_is_worse_than_linear() -> None:
    scan = [(n, 1e-6 * n) for n in COUNTS]
    assert not is_linear("open one more file", scan)
    assert is_linear("folder: list it", scan)
    assert not is_linear("folder: list it", [(n, 1e-9 * n**2) for n in COUNTS])
    assert is_linear("open one more file", [(n, 2e-3) for n in COUNTS])


def test_one_line_an_operation_between_the_marks(tmp_path) -> None:
    rows = [("open one more file", n, n * 1e-5) for n in COUNTS]
    assert list(by_operation(rows)) == ["open one more file"]
    text = table({"open": rows})
    assert (
        "| open files | open one more file | 1,000: 10 ms, 10,000: 100 ms, 100,000: 1 s |" in text
    )
    assert text.endswith("| 1.00 | **no** |\n")
    document = tmp_path / "performance.md"
    document.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")
    put_in_place(document, text)
    assert document.read_text() == f"before\n{MARKS[0]}\n{text}{MARKS[1]}\nafter\n"
