"""One emulator with the sample world for all tests that leave it as it is, and one to change."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.fixtures import calmed, running_emulator

from .client import Api, Facts
from .place import BOB, Place
from .writer import Writer


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


_places = iter(range(10_000))


@pytest.fixture(scope="session")
def written() -> Iterator[EmulatorProcess]:
    """A sample world in which each test writes into a folder of its own."""
    with running_emulator() as started:
        yield started


@pytest.fixture
def place(written):
    with calmed(written):
        yield Place(written, next(_places))


@pytest.fixture
def team(written):
    """In an ``a.`` project."""
    with calmed(written):
        yield Place(written, next(_places), "Gearbox", "Emulated Fusion Team")


@pytest.fixture
def writer(place):
    return place.writer


@pytest.fixture
def bob(place):
    return Writer(place.emulator, place.project["id"], BOB)
