"""An emulator with models, one with designs and another region, and settings of drives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dmfs.config import Settings
from dmfs.emulator.process import EmulatorProcess
from tests.support.fixtures import calmed, running_emulator

FOLDER = "/Bench/Bench Project/Project Files/models"


@pytest.fixture(scope="package")
def running() -> Iterator[EmulatorProcess]:
    with running_emulator(world="sample+models:count=200") as started:
        yield started


@pytest.fixture
def emulator(running: EmulatorProcess) -> Iterator[EmulatorProcess]:
    with calmed(running):
        running.clear_thumbnails()
        yield running


@pytest.fixture
def settings(emulator: EmulatorProcess, tmp_path: Path) -> Callable[..., Settings]:
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
