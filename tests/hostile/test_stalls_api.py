"""The matrix's column *stall × n calls*, of the API: how many deadlines do n listings or n opens
cost over a real mount? (Of the bytes: ``test_stalls.py``.)"""

from __future__ import annotations

import errno
import time
from collections.abc import Iterator

import pytest

from tests.support.mounts import Drive, wait_until

pytestmark = pytest.mark.mount

LIMIT_S = 1.0
FOLDERS = FILES = 30
"""So many deadlines if each were waited for."""
WORLD = f"tree:folders={FOLDERS},files=30,depth=1+small:files={FILES},min=20000,max=40960"
FOLDER = "Bench/Bench Project/Project Files"
SILENT = {"origin": "api", "times": None, "seconds": None}
CONFIG = {
    "metadata_timeout": f"{LIMIT_S:g}s", "data_timeout": "20s", "ttl": "10m", "hub_ttl": "10m",
    "walk_ahead": 0,
}  # fmt: skip
SLOW = (errno.ETIMEDOUT, errno.EIO)


@pytest.fixture(scope="module")
def world_spec() -> str:
    return WORLD


@pytest.fixture
def drive(calm, make_drive) -> Iterator[Drive]:
    made = make_drive(config=CONFIG)
    for folder in ("tree", "small"):
        made.call("listdir", made.path(FOLDER, folder))
    yield made
    calm.clear_faults()


def deadlines(began: float) -> float:
    return (time.monotonic() - began) / LIMIT_S


def folders(drive: Drive) -> list[str]:
    names = drive.call("listdir", drive.path(FOLDER, "tree"))
    return [drive.path(FOLDER, "tree", name) for name in names if not name.endswith(".dat")]


def test_a_walk_over_n_stalled_folders_costs_two_deadlines_and_a_moment_each(calm, drive) -> None:
    paths = folders(drive)
    assert len(paths) >= FOLDERS // 2
    calm.fault("stall_before_headers", route="contents", **SILENT)
    began = time.monotonic()
    for path in paths:
        assert drive.call("errno_of", "listdir", path) in SLOW
    assert deadlines(began) < len(paths) / 2
    calm.clear_faults()
    wait_until(lambda: drive.call("errno_of", "listdir", paths[-1]) == 0)
    for path in paths:
        wait_until(lambda: drive.call("errno_of", "listdir", path) == 0)  # noqa: B023


def test_one_stalled_folder_is_waited_for_once(calm, drive) -> None:
    path = folders(drive)[0]
    calm.fault("stall_before_headers", route="contents", **SILENT)
    began = time.monotonic()
    for _ in range(30):
        assert drive.call("errno_of", "listdir", path) in SLOW
    assert deadlines(began) < 10


def test_n_opens_under_a_stalled_signing_cost_two_deadlines_and_a_moment_each(calm, drive) -> None:
    names = drive.call("listdir", drive.path(FOLDER, "small"))[:FILES]
    calm.fault("stall_before_headers", route="sign", **SILENT)
    began = time.monotonic()
    for name in names:
        assert drive.call("errno_of", "read", drive.path(FOLDER, "small", name)) in SLOW
    assert deadlines(began) < len(names) / 2
    assert drive.counts()["sign"] <= 3 * len(names)
    calm.clear_faults()
    last = drive.path(FOLDER, "small", names[-1])
    wait_until(lambda: drive.call("errno_of", "read", last) == 0)


def test_opens_of_one_file_under_a_stalled_signing_cost_one_deadline(calm, drive) -> None:
    path = drive.path(FOLDER, "small", "small-00004.txt")
    calm.fault("stall_before_headers", route="sign", **SILENT)
    began = time.monotonic()
    for _ in range(30):
        assert drive.call("errno_of", "read", path) in SLOW
    assert deadlines(began) < 10


def test_a_silent_api_is_offline_as_one_that_refuses(calm, drive) -> None:
    paths = folders(drive)
    calm.fault("stall_before_headers", **SILENT)
    assert drive.call("errno_of", "listdir", paths[0]) in SLOW
    wait_until(lambda: drive.call("errno_of", "listdir", paths[1]) == errno.EIO)
    began = time.monotonic()
    for path in paths:
        assert drive.call("errno_of", "listdir", path) == errno.EIO
    assert deadlines(began) < len(paths) / 2
    assert "OfflineError" in drive.log()
    calm.clear_faults()
    wait_until(lambda: drive.call("errno_of", "listdir", paths[-1]) == 0)
