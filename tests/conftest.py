"""For all tests: real mounts only where they are possible, nothing left behind, and an emulator for
those of single packages (folders of whole journeys have emulators of their own)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator

import pytest

from dmfs.emulator.process import EmulatorProcess
from dmfs.model import File
from tests.support import mounts
from tests.support.fixtures import SETTINGS
from tests.support.helpers import a_new_file


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """``mount`` tests skip, with the reason, where the machine cannot mount."""
    reason = mounts.why_no_mounts()
    for item in items:
        if reason and item.get_closest_marker("mount"):
            item.add_marker(pytest.mark.skip(reason=f"no real mounts: {reason}"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """``tool("rsync")`` tests skip where the program is not installed."""
    for marker in item.iter_markers("tool"):
        for program in marker.args:
            if shutil.which(program) is None:
                pytest.skip(f"{program} is not installed")


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No mount and no process of ours outlives the tests."""
    yield
    left = mounts.leftovers()
    for path in mounts.mounts_below(tmp_path_factory.getbasetemp()):
        left.append(f"{path} is still mounted")
        mounts.force_unmount(path)
    assert not left, f"left behind by process {os.getpid()}: {left}"


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

    return lambda size: a_new_file(emulator, size)
