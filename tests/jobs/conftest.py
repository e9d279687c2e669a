"""Fixtures of the jobs' tests: an emulator with a tree, and drives without a mount."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.drive.conftest import settings
from tests.support.fixtures import calmed, running_emulator

WORLD = "tree:folders=265,files=120,depth=6+wide:items=700+small:files=40,min=1000,max=90000"

__all__ = ["emulator", "running", "settings"]


@pytest.fixture(scope="module")
def world_spec() -> str:
    """Overridden by modules that need another world."""
    return WORLD


@pytest.fixture(scope="module")
def running(world_spec: str) -> Iterator[EmulatorProcess]:
    with running_emulator(world=world_spec) as started:
        yield started


@pytest.fixture
def emulator(running: EmulatorProcess) -> Iterator[EmulatorProcess]:
    with calmed(running):
        yield running
