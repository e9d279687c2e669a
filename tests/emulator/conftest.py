"""One emulator with the sample world for all tests that leave it as it is, and one to change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.fixtures import SETTINGS

from .client import Api, Facts


@pytest.fixture(scope="session")
def running() -> Iterator[EmulatorProcess]:
    with EmulatorProcess() as emulator:
        yield emulator
        assert "Traceback" not in emulator.stderr()


@pytest.fixture
def emulator(running: EmulatorProcess) -> Iterator[EmulatorProcess]:
    """Settings, faults and counts as at the start; the world is shared: do not change it."""
    running.clear_faults()
    running.settings(**SETTINGS)
    running.reset()
    yield running
    running.clear_faults()


@pytest.fixture(scope="session")
def facts(running: EmulatorProcess) -> Facts:
    return Facts(running)


@pytest.fixture
def api(emulator: EmulatorProcess) -> Api:
    return Api(emulator)


@pytest.fixture
def changing() -> Iterator[EmulatorProcess]:
    """A sample world of one's own."""
    with EmulatorProcess() as emulator:
        yield emulator
        assert "Traceback" not in emulator.stderr()
