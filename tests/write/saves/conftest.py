"""One mount for all tests of a module, and a new folder in it for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.fixtures import drives
from tests.support.mounts import Drive
from tests.support.sample import SAMPLE
from tests.write.conftest import WRITES
from tests.write.saves.place import Folder


@pytest.fixture(scope="module")
def shared(emulator: EmulatorProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drive]:
    directory = tmp_path_factory.mktemp("saves")
    with drives(directory, emulator, options=["rw"], config=WRITES) as make:
        yield make()
        assert emulator.violations() == {}


@pytest.fixture
def again(shared: Drive) -> Callable[[], None]:
    """The mount is ended and started anew."""

    def start() -> None:
        assert shared.stop() == 0
        shared.start()

    return start


@pytest.fixture
def folder(shared: Drive, emulator: EmulatorProcess, request: pytest.FixtureRequest) -> Folder:
    """Made through the mount; what a test leaves there does not hurt the others."""
    number = len(list(Path(shared.path(SAMPLE)).iterdir()))
    path = Path(shared.path(SAMPLE)) / f"{number} {request.node.name[:80]}"
    path.mkdir()
    return Folder(shared, emulator, path)
