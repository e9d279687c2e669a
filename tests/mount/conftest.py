"""Fixtures of the real-mount tests: emulators and drives, shared within a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.fixtures import calmed, drives, running_emulator
from tests.support.mounts import Drive, Home
from tests.support.oracle import Oracle


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.mount)


@pytest.fixture(scope="module")
def world_spec() -> str:
    """Overridden by modules that need another world."""
    return "sample"


@pytest.fixture(scope="module")
def emulator(world_spec: str) -> Iterator[EmulatorProcess]:
    with running_emulator(world=world_spec) as started:
        yield started


@pytest.fixture
def calm(emulator: EmulatorProcess) -> Iterator[EmulatorProcess]:
    """The module's emulator without faults and with its first settings, counting from 0."""
    with calmed(emulator):
        yield emulator


@pytest.fixture(scope="module")
def drive_config() -> dict[str, object]:
    """Overridden by modules that need other settings."""
    return {"ttl": "10m", "hub_ttl": "10m"}


@pytest.fixture(scope="module")
def drive(
    emulator: EmulatorProcess,
    drive_config: dict[str, object],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Drive]:
    """One mount of ``/`` for the whole module."""
    with Drive(tmp_path_factory.mktemp("shared"), emulator, config=drive_config) as mounted:
        yield mounted
        assert mounted.process is not None
        assert mounted.process.poll() is None, "the mount did not survive its tests"


@pytest.fixture
def make_drive(emulator: EmulatorProcess, tmp_path: Path) -> Iterator[Callable[..., Drive]]:
    """Mounts of the test's own: ``make_drive(name="again", config={…})``."""
    with drives(tmp_path, emulator) as make:
        yield make


@pytest.fixture
def home(emulator: EmulatorProcess, tmp_path: Path) -> Home:
    """A user of the command, without a mount."""
    return Home(tmp_path / "user", emulator, {})


@pytest.fixture
def own_emulator() -> Iterator[EmulatorProcess]:
    """A sample world of the test's own, to change."""
    with running_emulator() as started:
        yield started


@pytest.fixture(scope="module")
def oracle(emulator: EmulatorProcess) -> Oracle:
    """What the emulator's world must look like on a drive."""
    return Oracle(emulator)
