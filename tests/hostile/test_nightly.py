"""The table of the nightly run: what was not run is no success."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hostile import nightly

SKIPPED = """import pytest

@pytest.mark.parametrize("number", range(2))
def test_one(number):
    pytest.skip("no Nautilus")
"""


@pytest.mark.process
def test_a_part_whose_tests_were_all_skipped_was_not_run(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(SKIPPED)
    words = [*nightly.PYTEST, str(tmp_path / "test_it.py")]
    found = nightly.run(nightly.Part("menus", words), tmp_path, short=False)
    assert (found["passed"], found["failed"], found["why"]) == (0, 0, "no Nautilus")
    table = nightly.table({"load": found, "disk": found}, tmp_path, "scripts/nightly")
    assert "| load (not run: no Nautilus) | 0 | 0 |" in table
    figures = table.partition("|---|---|\n")[2].partition("\n\n")[0].splitlines()
    assert {line.split(" | ")[1] for line in figures} == {"not run |"}, "nothing is claimed of it"


@pytest.mark.parametrize(
    ("code", "last", "why"),
    [
        (0, "2 skipped in 0.03s", "no Samba; no root"),
        (0, "2 skipped, 7 deselected in 0.03s", "no Samba; no root"),
        (0, "1 passed, 2 skipped in 0.03s", ""),
        (1, "1 failed, 2 skipped in 0.03s", ""),
        (5, "7 deselected in 0.03s", ""),
    ],
)
def test_some_that_ran_are_a_run(code: int, last: str, why: str) -> None:
    text = f"SKIPPED [1] tests/a.py:7: no Samba\nSKIPPED [1] tests/a.py: no root\n{last}\n"
    assert nightly.why_not_run(nightly.Part("a", []), code, text) == why


def test_a_script_that_says_impossible_was_not_run() -> None:
    script = nightly.Part("image", [], script=True)
    text = "making it\nno container runs here\n"
    assert nightly.why_not_run(script, nightly.IMPOSSIBLE, text) == "no container runs here"
    assert nightly.why_not_run(script, nightly.IMPOSSIBLE, "") == "it said nothing"
    assert nightly.why_not_run(script, 1, text) == ""
