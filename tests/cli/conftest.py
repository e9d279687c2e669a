"""Fixtures of the command line's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.mounts import Home


@pytest.fixture
def home(emulator: EmulatorProcess, tmp_path: Path) -> Home:
    """A user of the command whose listings stay valid during the test."""
    return Home(tmp_path / "user", emulator, {"ttl": "10m", "hub_ttl": "10m"})
