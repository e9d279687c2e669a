"""Programs of the nightly runs that a machine lacks."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/apt.sh"
INSTALL_S = 1200.0


def install(packages: Iterable[str]) -> None:
    """Install Debian packages as ``scripts/apt.sh`` does, where that is possible without asking
    anybody. Whoever needs what could not be had looks for it, and says so."""
    wanted = sorted({word for words in packages for word in words.split()})
    if wanted:
        print(f"installing {' '.join(wanted)}", flush=True)
        steps = f'source {SCRIPT}; ! may_install || apt_install "$@"'
        subprocess.run(
            ["bash", "-c", steps, "apt", *wanted], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, timeout=INSTALL_S, check=False,
        )  # fmt: skip


def install_or_skip(missing: Callable[[], Collection[str]], packages: str) -> None:
    """For a test of the nightly runs: ``missing`` names the programs that are not here; where one
    is not even after the packages were installed, the test is skipped and says which."""
    if missing():
        install([packages])
    if left := missing():
        pytest.skip(f"missing: {', '.join(left)}")
