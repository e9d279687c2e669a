"""An emulator with some small and large files, and drives without a mount that keep what is
pinned."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dmfs.config import Settings
from dmfs.emulator.process import EmulatorProcess
from dmfs.jobs import pinning
from dmfs.pins import keeper
from tests.pins.keeping import WORLD
from tests.support.fixtures import running_emulator


@pytest.fixture
def emulator() -> Iterator[EmulatorProcess]:
    """Of each test its own: what one does to the files must not be in another's way."""
    with running_emulator(world=WORLD) as started:
        yield started


@pytest.fixture
def settings(emulator: EmulatorProcess, tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a drive without a mount; nothing polls by itself."""

    def make(**more: Any) -> Settings:
        chosen: dict[str, Any] = {
            "api_url": emulator.api_url,
            "client_id": emulator.client_id,
            "client_secret": emulator.client_secret,
            "cache_dir": tmp_path / "cache",
            "state_dir": tmp_path / "state",
            "poll": 0.0,
            "rates": "off",
        }
        return Settings(**(chosen | more))

    return make


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A keeper that looks ten times as often."""
    monkeypatch.setattr(keeper, "LOOK_S", 0.1)
    monkeypatch.setattr(pinning, "LOOK_S", 0.05)
