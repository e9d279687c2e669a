"""Fixtures of the metadata plane's tests: an emulator with a tree, drives without a mount."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from dmfs.config import Settings
from dmfs.emulator.process import EmulatorProcess
from tests.support.fixtures import calmed, drive_settings, drives, running_emulator
from tests.support.mounts import Drive

WORLD = "tree:folders=60,files=300,depth=5+wide:items=2300"
PROJECT = "/Bench/Bench Project"


@pytest.fixture(scope="module")
def running() -> Iterator[EmulatorProcess]:
    with running_emulator(world=WORLD) as started:
        yield started


@pytest.fixture
def emulator(running: EmulatorProcess) -> Iterator[EmulatorProcess]:
    with calmed(running):
        yield running


@pytest.fixture
def make_drive(emulator: EmulatorProcess, tmp_path: Path) -> Iterator[Callable[..., Drive]]:
    with drives(tmp_path, emulator, source=PROJECT) as make:
        yield make


@pytest.fixture
def settings(emulator: EmulatorProcess, tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a drive without a mount."""

    return partial(drive_settings, emulator, tmp_path)
