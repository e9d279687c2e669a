"""One emulator with the sample world for all tests that leave it as it is, and one to change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.fixtures import calmed, running_emulator

from .client import Api, Facts


@pytest.fixture(scope="session")
def running() -> Iterator[EmulatorProcess]:
    with running_emulator() as started:
        yield started


@pytest.fixture
def emulator(running: EmulatorProcess) -> Iterator[EmulatorProcess]:
    """Settings, faults and counts as at the start; the world is shared: do not change it."""
    with calmed(running):
        yield running


@pytest.fixture(scope="session")
def facts(running: EmulatorProcess) -> Facts:
    return Facts(running)


@pytest.fixture
def api(emulator: EmulatorProcess) -> Api:
    return Api(emulator)


@pytest.fixture
def changing() -> Iterator[EmulatorProcess]:
    """A sample world of one's own."""
    with running_emulator() as started:
        yield started


@pytest.fixture
def sample(facts):
    project = facts.project("Sample Project")
    folder = facts.folder(project, "Project Files", "Documents")
    return project["id"], folder, facts.item(folder, "Minutes.txt")
