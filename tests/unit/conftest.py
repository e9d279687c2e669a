"""One emulator for all unit tests; each finds it as new, with files of its own to be added."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from dmfs.model import File
from dmfs_emulator.process import EmulatorProcess
from tests.support.fixtures import SETTINGS
from tests.unit.helpers import a_new_file


@pytest.fixture(scope="session")
def running() -> Iterator[EmulatorProcess]:
    with EmulatorProcess(world="sample+small:files=3,min=1024,max=40960") as emulator:
        yield emulator


@pytest.fixture
def emulator(running: EmulatorProcess) -> Iterator[EmulatorProcess]:
    running.clear_faults()
    running.settings(**SETTINGS)
    running.reset()
    yield running
    running.clear_faults()


@pytest.fixture
def new_file(emulator: EmulatorProcess) -> Callable[[int], File]:
    """A file of that size that nobody has asked for before."""

    return lambda size: a_new_file(emulator, size)
