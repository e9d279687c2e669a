"""For all tests: profiles of hypothesis, the pure tier, real mounts only where they are possible,
nothing left behind, and an emulator for those of single packages (folders of whole journeys have
emulators of their own)."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from dmfs.emulator.process import EmulatorProcess
from dmfs.model import File
from tests.support import mounts, own_mounts, pure, schedule
from tests.support.fixtures import calmed, running_emulator
from tests.support.helpers import a_new_file

settings.register_profile("pure", max_examples=15, deadline=None)
settings.register_profile("short", max_examples=60, deadline=None)
settings.register_profile("nightly-short", max_examples=1000, deadline=None)
settings.register_profile("nightly", max_examples=5000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "short"))

# What failed in what the tests of a folder share is shown as in a test itself.
_FOLDERS = (each.name for each in Path(__file__).parent.iterdir() if each.is_dir())
pytest.register_assert_rewrite(*(f"tests.{each}" for each in _FOLDERS if each != "support"))

GUARD = pytest.StashKey[pure.Guard]()
FILES = pytest.StashKey[str]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--pure", action="store_true",
        help="only tests that need no emulator, no mount, no process and no network: seconds",
    )  # fmt: skip


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--pure"):
        config.stash[GUARD] = pure.Guard()
        if "HYPOTHESIS_PROFILE" not in os.environ:
            settings.load_profile("pure")
    elif own_mounts.leave_the_machines_mounts():
        config.stash[FILES] = own_mounts.keep_files_in_memory()


def pytest_report_header(config: pytest.Config) -> str:
    """Whether syncs cost what a disk takes for them: a slow run is explained by it."""
    return f"files of tests: {config.stash.get(FILES, 'on the disk')}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """``--pure`` leaves the others out; ``mount`` tests skip where the machine cannot mount; long
    files come first."""
    if config.getoption("--pure"):
        items[:], others = pure.split(items)
        config.hook.pytest_deselected(items=others)
        return
    items.sort(key=schedule.rank)
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


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    guard = item.config.stash.get(GUARD, None)
    if guard is None:
        return (yield)
    guard.active = True
    try:
        return (yield)
    finally:
        guard.active = False


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command that a test runs in this process sets up logging: the next test would hear
    nothing of what is logged."""
    logger = logging.getLogger("dmfs")
    before = logger.propagate, logger.level, logger.handlers[:]
    yield
    logger.propagate, logger.handlers[:] = before[0], before[2]
    logger.setLevel(before[1])


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """No mount and no process of ours outlives the tests; pure ones started none at all."""
    yield
    left = mounts.leftovers()
    for path in mounts.mounts_below(tmp_path_factory.getbasetemp()):
        left.append(f"{path} is still mounted")
        mounts.force_unmount(path)
    assert not left, f"left behind by process {os.getpid()}: {left}"
    guard = request.config.stash.get(GUARD, None)
    assert guard is None or not guard.refused, f"pure tests tried: {guard.refused}"


@pytest.fixture(scope="session")
def running() -> Iterator[EmulatorProcess]:
    with running_emulator(world="sample+small:files=3,min=1024,max=40960") as started:
        yield started


@pytest.fixture
def emulator(running: EmulatorProcess) -> Iterator[EmulatorProcess]:
    with calmed(running):
        yield running


@pytest.fixture
def new_file(emulator: EmulatorProcess) -> Callable[[int], File]:
    """A file of that size that no test has read before."""

    return lambda size: a_new_file(emulator, size)


@pytest.fixture
def point(tmp_path: Path) -> Iterator[Path]:
    """An empty directory to mount on."""
    path = tmp_path / "point"
    path.mkdir()
    yield path
    mounts.force_unmount(path)
