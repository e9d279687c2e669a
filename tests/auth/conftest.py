"""One emulator for all of it, one home for each test."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.auth.person import Person, found_in, secrets_of
from tests.support.mounts import start_emulator, stop_emulator

SETTINGS = {
    "token_ttl_s": 3599, "refresh_ttl_s": 15 * 86400, "code_ttl_s": 300, "date_offset_s": 0,
    "route_latency_ms": {},
}  # fmt: skip


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmulatorProcess]:
    began_s = time.time()
    started = start_emulator()
    yield started
    # logs, caches, state and cores of all these tests; of those before them (a worker of xdist may
    # have run tests/mount with its large caches) it took two minutes and more
    found = found_in(tmp_path_factory.getbasetemp(), secrets_of(started), began_s)
    assert found == [], "secrets were left in files"
    words = stop_emulator(started)
    assert "Traceback" not in words, words


@pytest.fixture
def emulator(running: EmulatorProcess) -> EmulatorProcess:
    running.clear_faults()
    running.settings(**SETTINGS)
    running.reset()
    return running


@pytest.fixture
def person(tmp_path: Path, emulator: EmulatorProcess) -> Person:
    return Person(tmp_path / "person", emulator)
