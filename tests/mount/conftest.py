"""Fixtures of the real-mount tests: emulators and drives, shared within a module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dmfs_emulator.process import EmulatorProcess
from tests.support.mounts import Drive, Home, start_emulator, stop_emulator

SETTINGS = {
    "api_latency_ms": 0, "route_latency_ms": {}, "cdn_latency_ms": 0, "cdn_bytes_per_s": 0,
    "rate_limits": "off", "rate_window_s": 60, "token_ttl_s": 3599, "url_ttl_cap_s": None,
    "signing": None, "url_form": None, "page_limit": None,
}  # fmt: skip


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
    started = start_emulator(world=world_spec)
    yield started
    words = stop_emulator(started)
    assert "Traceback" not in words, words


@pytest.fixture
def calm(emulator: EmulatorProcess) -> Iterator[EmulatorProcess]:
    """The module's emulator without faults and with its first settings, counting from 0."""
    emulator.clear_faults()
    emulator.settings(**SETTINGS)
    emulator.reset()
    yield emulator
    emulator.clear_faults()
    emulator.settings(**SETTINGS)


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
    made: list[Drive] = []

    def make(name: str = "own", of: EmulatorProcess | None = None, **options: Any) -> Drive:
        drive = Drive(tmp_path / name, of or emulator, **options)
        made.append(drive)
        return drive.start()

    yield make
    for drive in made:
        drive.close()


@pytest.fixture
def home(emulator: EmulatorProcess, tmp_path: Path) -> Home:
    """A user of the command, without a mount."""
    return Home(tmp_path / "user", emulator, {})


@pytest.fixture
def own_emulator() -> Iterator[EmulatorProcess]:
    """A sample world of the test's own, to change."""
    started = start_emulator()
    yield started
    words = stop_emulator(started)
    assert "Traceback" not in words, words
