"""An emulator of a module's own, and places in it that no other test changes."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.emulator.place import Place
from tests.support.fixtures import calmed, running_emulator

numbers = itertools.count()
"""Of places."""


@pytest.fixture(scope="module")
def written() -> Iterator[EmulatorProcess]:
    with running_emulator() as started:
        yield started


@pytest.fixture
def place(written: EmulatorProcess) -> Iterator[Place]:
    """Of a ``b.`` project."""
    with calmed(written):
        yield Place(written, next(numbers))


@pytest.fixture
def team(written: EmulatorProcess) -> Iterator[Place]:
    """Of an ``a.`` project."""
    with calmed(written):
        yield Place(written, next(numbers), "Gearbox", "Emulated Fusion Team")
