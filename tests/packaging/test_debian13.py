"""scripts/debian13 where it cannot run, and its part in the nightly run. (That the suite passes in
there is what the nightly run itself shows.)"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile import nightly

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts" / "debian13"


def debian13(*words: str, script: Path = SCRIPT, **environ: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [str(script), *words], env=os.environ | environ, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_help_explains() -> None:
    code, said, complaint = debian13("--help")
    assert (code, complaint) == (0, "")
    assert "scripts/debian13 [COMMAND…]" in said
    assert "set -" not in said


def test_an_unknown_argument_is_named() -> None:
    code, _, complaint = debian13("--frsh")
    assert code == 2
    assert "--frsh" in complaint


@pytest.fixture
def stand_ins(tmp_path: Path) -> Path:
    """A PATH whose ``id`` is an ordinary user's."""
    place = tmp_path / "bin"
    place.mkdir()
    (place / "id").write_text("#!/bin/sh\necho 1000\n")
    (place / "id").chmod(0o755)
    return place


def test_without_root_it_says_so_in_one_line(stand_ins: Path) -> None:
    code, said, complaint = debian13(PATH=f"{stand_ins}:{os.environ['PATH']}")
    assert (code, said) == (nightly.IMPOSSIBLE, "")
    assert complaint.startswith("debian13: needs root")
    assert complaint.count("\n") == 1


@pytest.mark.skipif(os.getuid() != 0, reason="an ordinary user is told of that first")
def test_without_a_checkout_it_says_so_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    copy = Path(shutil.copy(SCRIPT, tmp_path / "scripts"))
    code, _, complaint = debian13(script=copy)
    assert code == nightly.IMPOSSIBLE
    assert complaint == f"debian13: {tmp_path} is not a git checkout\n"


def test_a_night_says_what_it_could_not_run_and_why(
    stand_ins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("PATH", f"{stand_ins}:{os.environ['PATH']}")
    words = ["nightly", "--only", "debian13", "--into", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", words)
    assert nightly.main() == 0
    said = capsys.readouterr().out
    assert "debian13 was not run: debian13: needs root" in said
    assert "| debian13 (not run: debian13: needs root" in said


def test_a_failure_in_there_fails_the_night(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = nightly.Part("debian13", ["sh", "-c", "echo '1 failed, 9 passed in 3 s'; exit 1"],
                           script=True)  # fmt: skip
    found = nightly.run(failing, tmp_path, short=False)
    assert (found["passed"], found["failed"]) == (9, 1)
    broken = nightly.Part("debian13", ["sh", "-c", "echo oh; exit 1"], script=True)
    assert nightly.run(broken, tmp_path, short=False)["failed"] == 1


def test_it_is_not_part_of_a_short_run() -> None:
    long = [part.name for part in nightly.PARTS if part.long]
    assert "debian13" in long
    assert {"writing matrix", "uploads killed"} <= set(long)
