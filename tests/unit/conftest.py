"""One emulator for all unit tests; each finds it as new, with files of its own to be added."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dmfs.model import File
from dmfs_emulator.process import EmulatorProcess
from tests.support.fixtures import SETTINGS
from tests.unit.helpers import a_file

FILES = "Bench/Bench Project/Project Files/small"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def running() -> Iterator[EmulatorProcess]:
    with EmulatorProcess(world="sample+small:files=3,min=1024,max=40960") as emulator:
        yield emulator


@pytest.fixture
def emulator(running: EmulatorProcess) -> Iterator[EmulatorProcess]:
    running.clear_faults()
    running.settings(**SETTINGS)
    running.reset()
    yield running
    running.clear_faults()


@pytest.fixture
def new_file(emulator: EmulatorProcess) -> Callable[[int], File]:
    """A file of that size that nobody has asked for before."""

    def make(size: int) -> File:
        item: dict[str, Any] = emulator.change(
            "add_item", path=FILES, name=f"unit {next(_numbers)}.bin", size=size
        )
        version = item["versions"][-1]
        return a_file(
            version["name"],
            size,
            item_id=item["id"],
            version=version["id"],
            storage_id=version["storage"],
        )

    return make
