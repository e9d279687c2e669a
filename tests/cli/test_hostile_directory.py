"""The working directory is the user's, and anybody's files may lie in it: none is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dmfs.cli.desktop.menu import run_verb

HOSTILE = ("dmfs", "trio", "argparse", "json", "zipfile")


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Exists once something was imported from the directory that this test works in."""
    seen, place = tmp_path / "seen", tmp_path / "project"
    for name in HOSTILE:
        (place / name).mkdir(parents=True)
        (place / name / "__init__.py").write_text(f"open({str(seen)!r}, 'w').close()\n")
    monkeypatch.chdir(place)
    return seen


def test_a_menu_imports_nothing_from_the_folder_that_it_was_opened_in(
    seen: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environ = os.environ | {"HOME": str(tmp_path), "PATH": ""}
    assert run_verb("pin", ["a file"], environ) == 1
    assert capsys.readouterr().err.startswith("dmfs: no client id")
    assert not seen.exists()


def test_the_emulator_imports_nothing_from_there(seen: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "dmfs", "emulator", "--help"], capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert not seen.exists()
