"""Fixtures of writing: an emulator, and drives that may be changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.fixtures import calmed, drives, running_emulator
from tests.support.mounts import Drive

WRITES = {
    "scopes": "data:read data:create data:write",
    "upload_delay": "200ms",
    "version_interval": 0,
    "any_spool_disk": "true",
    "ttl": "10m",
    "hub_ttl": "10m",
}
"""What a drive needs to be written to in a test."""


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorProcess]:
    with running_emulator(world="sample") as started:
        yield started


@pytest.fixture
def calm(emulator: EmulatorProcess) -> Iterator[EmulatorProcess]:
    with calmed(emulator):
        yield emulator


@pytest.fixture
def make_drive(calm: EmulatorProcess, tmp_path: Path) -> Iterator[Callable[..., Drive]]:
    with drives(tmp_path, calm, options=["rw"], config=WRITES) as make:
        yield make
