"""Real mounts for the hostile tests: the same fixtures as tests/mount has."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dmfs_emulator.process import EmulatorProcess
from tests.mount.conftest import SETTINGS, make_drive
from tests.support.mounts import start_emulator, stop_emulator


@pytest.fixture(scope="module")
def world_spec() -> str:
    """Overridden by modules that need another world."""
    return "sample"


@pytest.fixture(scope="module")
def emulator(world_spec: str) -> Iterator[EmulatorProcess]:
    started = start_emulator(world=world_spec)
    yield started
    words = stop_emulator(started)
    assert "Traceback" not in words, words


@pytest.fixture
def calm(emulator: EmulatorProcess) -> Iterator[EmulatorProcess]:
    emulator.clear_faults()
    emulator.settings(**SETTINGS)
    emulator.reset()
    yield emulator
    emulator.clear_faults()
    emulator.settings(**SETTINGS)


__all__ = ["make_drive"]
