"""An emulator with models, one with designs and another region, and settings of drives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from dmfs.config import Settings
from dmfs.emulator.process import EmulatorProcess
from tests.support.fixtures import calmed, drive_settings, running_emulator

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
    return partial(drive_settings, emulator, tmp_path)
