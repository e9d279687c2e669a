"""The two harnesses: what fails is told and the others go on; what was cut off is no document."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.desktop.running import IMPOSSIBLE, chosen, judged, run_each
from tests.desktop.tools import documents


@dataclass(frozen=True)
class Program:
    name: str
    missing: bool = False
    packages: str = "some"


@pytest.fixture(autouse=True)
def nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    left: list[str] = []
    monkeypatch.setattr("tests.desktop.running.leftovers", lambda: left)
    return left


def row_of(program: Program) -> str:
    if program.name == "bad":
        raise OSError("it broke")
    return program.name


def test_one_that_fails_ends_no_other(capsys: pytest.CaptureFixture[str]) -> None:
    programs = [Program("one"), Program("away", missing=True), Program("bad"), Program("two")]
    assert run_each(programs, row_of) == (["one", "two"], 1)
    said = capsys.readouterr().out
    assert "left out: away (some cannot be installed)" in said
    assert "FAILED bad" in said
    assert [each.name for each in chosen(programs, "w,on")] == ["one", "away", "two"]
    assert chosen(programs, "") == programs


def test_a_broken_bound_a_failure_and_what_is_left_fail_it(
    capsys: pytest.CaptureFixture[str], nothing_is_left: list[str]
) -> None:
    def wrong(row: str) -> list[str]:
        return ["too much"] if row == "bad" else []

    assert judged(["one"], 0, str, wrong) == 0
    assert judged([], 0, str, wrong) == IMPOSSIBLE
    assert judged([], 1, str, wrong) == judged(["one"], 1, str, wrong) == 1
    assert judged(["one", "bad"], 0, str, wrong) == 1
    assert "WRONG bad: too much\n1 passed, 1 failed" in capsys.readouterr().out
    nothing_is_left.append("a mount")
    assert judged(["one"], 0, str, wrong) == 1
    assert "LEFT BEHIND: a mount\n1 passed, 1 failed" in capsys.readouterr().out


def test_what_was_cut_off_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(documents, "DOCUMENTS", tmp_path / "documents")
    documents.DOCUMENTS.mkdir()

    def half(path: Path) -> None:
        path.write_bytes(b"half")
        raise error

    error: BaseException = OSError("the disk is full")
    assert not documents.made_whole("Report.pdf", half)
    error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        documents.made_whole("Report.pdf", half)
    assert not documents.has("Report.pdf")
    assert documents.made_whole("Report.pdf", lambda path: path.write_bytes(b"whole"))
    assert documents.made_whole("Report.pdf", half), "it is there"
    assert (documents.DOCUMENTS / "Report.pdf").read_bytes() == b"whole"
