"""Long steps of the scripts say what goes on: lines for a program, one line at a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STEP = 'echo "Collecting httpx==0.28"; sleep 3.5; exit ${STATUS:-0}'


def command(script: str = STEP) -> list[str]:
    source = f'set -euo pipefail; source "{ROOT}/scripts/progress.sh"; '
    return ["bash", "-c", source + 'with_progress "setup: packages" bash -c "$1"', "x", script]


def run(**environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(), env=os.environ | {"PROGRESS_S": "1"} | environ, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_a_long_step_is_no_silence() -> None:
    done = run()
    lines = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (0, "")
    assert len(lines) >= 2
    assert lines[0] == "setup: packages, 1 s: Collecting httpx==0.28"
    assert "\r" not in done.stderr
    assert "\033" not in done.stderr


def test_a_step_that_fails_shows_its_output_and_keeps_its_status() -> None:
    done = run(STATUS="7", PROGRESS_S="600")
    assert done.returncode == 7
    assert done.stderr == "Collecting httpx==0.28\n"


def test_at_a_terminal_one_line_is_rewritten_and_taken_away() -> None:
    ours, theirs = pty.openpty()
    child = subprocess.Popen(command(), stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs)
    os.close(theirs)
    text = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        text += piece
    os.close(ours)
    assert child.wait(60) == 0
    assert b"\n" not in text
    assert text.count(b"\r\033[Ksetup: packages, ") >= 2
    assert text.endswith(b"\r\033[K")


def test_every_wait_of_the_setup_is_one_that_speaks() -> None:
    """pip, venv and apt-get run through ``with_progress`` alone."""
    for name in ("setup", "apt.sh"):
        lines = (ROOT / "scripts" / name).read_text("utf-8").replace("\\\n", "").splitlines()
        for line in lines:
            code = line.partition("#")[0]
            if any(word in code for word in ("-m pip", "-m venv", "apt-get --")):
                assert "with_progress" in code, line
