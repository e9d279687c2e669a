"""An emulator with a large tree, and drives without a mount whose sign-in may search."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from dmfs.config import Settings
from dmfs.emulator.process import EmulatorProcess
from tests.drive.conftest import settings
from tests.support.fixtures import calmed, running_emulator

WORLD = "tree:folders=2000,files=4000,depth=6"

__all__ = ["emulator", "running", "settings"]


@pytest.fixture(scope="package")
def running() -> Iterator[EmulatorProcess]:
    with running_emulator(world=WORLD) as started:
        yield started


@pytest.fixture
def emulator(running: EmulatorProcess) -> Iterator[EmulatorProcess]:
    with calmed(running):
        yield running


@pytest.fixture
def searching(settings: Callable[..., Settings]) -> Callable[..., Settings]:
    """Settings of a drive that may search."""
    return partial(settings, scopes="data:read data:search")
