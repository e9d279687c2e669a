"""Each test finds the emulator calm, and counting from 0."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.fixtures import calmed


@pytest.fixture
def emulator(running: EmulatorProcess) -> Iterator[EmulatorProcess]:
    with calmed(running):
        yield running
