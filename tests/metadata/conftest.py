"""Fixtures of the metadata plane's tests: an emulator with a tree, drives without a mount."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dmfs.config import Settings
from dmfs_emulator.process import EmulatorProcess
from tests.mount.conftest import SETTINGS
from tests.support.mounts import Drive, start_emulator, stop_emulator

WORLD = "tree:folders=60,files=300,depth=5+wide:items=2300"
PROJECT = "/Bench/Bench Project"


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorProcess]:
    started = start_emulator(world=WORLD)
    yield started
    assert "Traceback" not in stop_emulator(started)


@pytest.fixture
def emulator(running: EmulatorProcess) -> Iterator[EmulatorProcess]:
    running.clear_faults()
    running.settings(**SETTINGS)
    running.reset()
    yield running
    running.clear_faults()
    running.settings(**SETTINGS)


@pytest.fixture
def make_drive(emulator: EmulatorProcess, tmp_path: Path) -> Iterator[Callable[..., Drive]]:
    made: list[Drive] = []

    def make(name: str = "own", source: str = PROJECT, **options: Any) -> Drive:
        drive = Drive(tmp_path / name, emulator, source=source, **options)
        made.append(drive)
        return drive.start()

    yield make
    for drive in made:
        drive.close()


@pytest.fixture
def settings(emulator: EmulatorProcess, tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a drive without a mount."""

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
