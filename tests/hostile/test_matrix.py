"""Each cell of the fault matrix: what the user sees, how many calls it cost, that it ended.

The suite runs one cell in nine (all calls, all faults, once, three times and for ever in turn),
``DMFS_MATRIX=full`` all of them; ``scripts/nightly`` does, and writes the table.
"""

from __future__ import annotations

import functools
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.hostile import matrix
from tests.hostile import matrix_cells as rules
from tests.hostile.matrix_cells import Cell, Outcome

FULL = os.environ.get("DMFS_MATRIX") == "full"
WORKERS = int(os.environ.get("DMFS_MATRIX_WORKERS", "6"))
CALLS_MAX = 24
"""Five tries, twice (a token renewed, a URL renewed), and a few GETs that run ahead; or one for
each half of what is left, where each breaks in the middle."""


def _chosen() -> list[Cell]:
    every = rules.cells()
    if FULL:
        return every
    # one in nine, such that all calls, all faults and all three numbers of times are met
    faults, calls, times = (
        list(rules.FAULTS),
        list(rules.CALLS),
        list(rules.TIMES),
    )
    return [
        cell
        for cell in every
        if cell.fault in ("wrong bytes", "tokens expired")
        or (
            (faults.index(cell.fault) + calls.index(cell.call)) % 3 == 0
            and (faults.index(cell.fault) + 2 * calls.index(cell.call) // 3) % 3
            == times.index(cell.times)
        )
    ]


CELLS = _chosen()


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[Cell, Outcome]]:
    directory = tmp_path_factory.mktemp("matrix")
    run = functools.partial(matrix.run_cells, CELLS, directory, WORKERS)
    found: dict[Cell, Outcome] = trio.run(run)
    yield found
    report = os.environ.get("DMFS_MATRIX_REPORT")
    if report:
        Path(report).write_text(table(found))
        Path(report).with_suffix(".json").write_text(json.dumps(numbers(found)))


@pytest.mark.timeout(1800 if FULL else 110)
def test_the_matrix_runs(outcomes: dict[Cell, Outcome]) -> None:
    assert set(outcomes) == set(CELLS)


@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_cell(cell: Cell, outcomes: dict[Cell, Outcome]) -> None:
    outcome = outcomes[cell]
    assert outcome.seen in rules.expected(cell), outcome
    assert outcome.seen != "ENOENT", "failure looks like absence"
    deadline_s = rules.METADATA_S + rules.DATA_S if cell.ranged else rules.METADATA_S
    assert outcome.took_s < deadline_s + matrix.GRACE_S, outcome
    assert outcome.calls <= CALLS_MAX * (4 if cell.call in ("item", "contents") else 1), outcome
    for secret in ("Bearer", "eyJ", "Signature", "://"):
        assert secret not in outcome.message


def test_the_rules_cover_the_matrix() -> None:
    every = rules.cells()
    assert {cell.call for cell in every} == set(rules.CALLS)
    assert {cell.fault for cell in every} == set(rules.FAULTS)
    assert {cell.call for cell in CELLS} == set(rules.CALLS)
    assert {cell.fault for cell in CELLS} == set(rules.FAULTS)
    wrong = {cell.fault for cell in every if "WRONG" in rules.expected(cell)}
    assert wrong == {"wrong bytes"}, "nothing else may pass for right"
    assert not any("ENOENT" in rules.expected(cell) for cell in every)


def numbers(found: dict[Cell, Outcome]) -> dict[str, float]:
    """For the table of the night."""
    return {
        "cells": len(found),
        "unexpected": sum(o.seen not in rules.expected(cell) for cell, o in found.items()),
        "wrong bytes": sum(
            o.seen == "WRONG" and cell.fault != "wrong bytes" for cell, o in found.items()
        ),
        "hangs": sum(o.seen == "HANG" for o in found.values()),
        "slowest": max(o.took_s for o in found.values()),
    }


def table(found: dict[Cell, Outcome]) -> str:
    """Rows are faults, columns calls; in a box what was seen once / three times / for ever."""
    boxes: dict[tuple[str, str], dict[str, Outcome]] = defaultdict(dict)
    for cell, outcome in found.items():
        boxes[cell.fault, cell.call][cell.times] = outcome
    short = [call.replace("range of a ", "range, ") for call in rules.CALLS]
    lines = ["| fault | " + " | ".join(short) + " |", "|---" * (len(short) + 1) + "|"]
    for fault in rules.FAULTS:
        row = []
        for call in rules.CALLS:
            box = boxes.get((fault, call), {})
            seen = [box[times].seen if times in box else "·" for times in rules.TIMES]
            row.append("" if not box else seen[0] if len(set(seen)) == 1 else " / ".join(seen))
        lines.append(f"| {fault} | " + " | ".join(row) + " |")
    tally = Counter(outcome.seen for outcome in found.values())
    lines += ["", ", ".join(f"{seen}: {count}" for seen, count in tally.most_common())]
    return "\n".join(lines) + "\n"
