"""An emulator with some small and large files, and drives without a mount that keep what is
pinned."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dmfs.emulator.process import EmulatorProcess
from dmfs.jobs import pinning
from dmfs.pins import keeper
from tests.drive.conftest import settings
from tests.pins.keeping import WORLD
from tests.support.fixtures import running_emulator

__all__ = ["emulator", "quick", "settings"]


@pytest.fixture
def emulator() -> Iterator[EmulatorProcess]:
    """Of each test its own: what one does to the files must not be in another's way."""
    with running_emulator(world=WORLD) as started:
        yield started


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A keeper that looks ten times as often."""
    monkeypatch.setattr(keeper, "LOOK_S", 0.1)
    monkeypatch.setattr(pinning, "LOOK_S", 0.05)
