"""An emulator with some designs, for a module; each test has its calm and a directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dmfs.config import Settings
from dmfs.emulator.process import EmulatorProcess
from tests.exports.exporting import settings_for
from tests.support.fixtures import calmed, running_emulator

WORLD = "designs:count=40,versions=1"


@pytest.fixture(scope="session")
def running_designs() -> Iterator[EmulatorProcess]:
    with running_emulator(world=WORLD) as started:
        yield started


@pytest.fixture
def emulator(running_designs: EmulatorProcess) -> Iterator[EmulatorProcess]:
    with calmed(running_designs):
        yield running_designs


@pytest.fixture
def settings(emulator: EmulatorProcess, tmp_path: Path) -> Callable[..., Settings]:
    """Settings of a person's drive without a mount."""

    def make(**more: Any) -> Settings:
        return settings_for(emulator, tmp_path, **more)

    return make
