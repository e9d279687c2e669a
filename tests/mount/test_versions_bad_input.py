"""Versions that never were, histories that nothing has, and a service that refuses to tell."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Iterator

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.mount.test_versions import FILES, TEAM
from tests.support.histories import look_again
from tests.support.mounts import Drive, wait_until

NEVER = (
    "plan@v99.dwg", "plan@v0.dwg", "plan@v007.dwg", "plan@v4.dwg", "plan@v-1.dwg", "plan@v.dwg",
    "plan@v999999999.dwg", "plan@v99999999999999999999999999.dwg", "plan@v1٣.dwg", "plan@V1.dwg",
    "plan@v1", "plan@v1.txt", "plan@v1.dwg@v1", "plan@@v1.dwg", "@v1.dwg", "plan@v1 .dwg",
    "nothing@v1.dwg", "plan@2019-01-01.dwg", "plan@2020-02-11.dwg", "plan@2099-01-01.dwg",
    "plan@9999-12-31.dwg", "plan@2020-02-30.dwg", "plan@2020-2-13.dwg", "plan@yesterday.dwg",
    "plan@2020-02-13T99:00Z.dwg", "plan@7d.dwg", "plan@.dwg", "plan@GMT-2020.02.13-00.00.00.dwg",
    "plan@v1/", "plan@v1.dwg\udcff", "plan@v1.d\udcff", "\udcff@v1.dwg", "plan@v1.dwg\n",
    ".versions/plan.dwg/plan@v4.dwg", ".versions/plan.dwg/plan.dwg", ".versions/plan.dwg/v1",
    ".versions/plan.dwg/.versions", ".versions/plan.dwg/plan@2020-02-13.dwg",
    ".versions/plan.dwg/final@v1.txt", ".versions/.versions", ".versions/plan@v1.dwg",
    ".versions/nothing.dwg", ".versions/plan@2019-12-24.dwg", ".versions/@GMT-2020.02.13-00.00.00",
    ".versions/plan.dwg@v1", ".versions@v1", ".snapshots",
)  # fmt: skip
"""In the folder ``Names``, where plan.dwg has three versions since 12 February 2020."""


@pytest.fixture(scope="module")
def world_spec() -> str:
    return "history"


@pytest.fixture(scope="module")
def drive_config() -> dict[str, object]:
    return {"ttl": "10m", "hub_ttl": "10m", "metadata_timeout": "1s"}


@pytest.fixture
def names(drive: Drive, calm: EmulatorProcess) -> str:
    path = drive.path(FILES, "Names")
    drive.call("listdir", path)
    drive.call("listdir", f"{path}/.versions/plan.dwg")
    calm.reset()
    return path


def test_a_version_that_never_was_is_absent_and_costs_nothing(names, drive):
    paths = [f"{names}/{name}".encode("utf-8", "surrogateescape") for name in NEVER]
    found = drive.call("probe", paths)
    odd = dict(zip(NEVER, found, strict=True))
    assert {name: code for name, code in odd.items() if code != errno.ENOENT} == {}
    marks = ("v99", "v0", "v007", "v6", "2019-01-01", "2099-01-01", "9999-12-31", "7d", "")
    of_unknown = [f"{names}/final@{mark}.txt" for mark in marks]  # its list was never asked for
    assert set(drive.call("probe", of_unknown)) == {errno.ENOENT}
    assert drive.counts() == {}
    assert "Traceback" not in drive.log()


def test_a_version_is_no_directory_and_a_history_no_file(names, drive):
    assert drive.call("errno_of", "stat", f"{names}/plan@v1.dwg/x") == errno.ENOTDIR
    assert drive.call("errno_of", "stat", f"{names}/plan@v1.dwg/.versions") == errno.ENOTDIR
    assert drive.call("errno_of", "stat", f"{names}/plan.dwg/.versions") == errno.ENOTDIR
    assert drive.call("errno_of", "listdir", f"{names}/plan@v1.dwg") == errno.ENOTDIR
    for path in ("/.versions", "/.versions/plan.dwg"):
        assert drive.call("errno_of", "read", names + path) == errno.EISDIR


def test_a_name_of_a_version_that_is_too_long(names, drive):
    long = "x" * 240 + ".dwg"
    for name in (f"{long[:-4]}@v1234567890.dwg", f"{long}{'y' * 20}@v1"):
        assert drive.call("errno_of", "stat", f"{names}/{name}") == errno.ENAMETOOLONG


def test_what_has_no_history(names, drive):
    """A folder, a shortcut, a file with one version: they are no entries of ``.versions``. Hubs and
    the top have none."""
    files = drive.path(FILES)
    drive.call("listdir", drive.path(TEAM))
    for path in (
        f"{files}/.versions/Names", f"{files}/.versions/one version.dwg",
        f"{files}/Models/.versions/Never published.rvt.url", drive.path(TEAM, ".versions/Bracket"),
        drive.path(TEAM, ".versions/Bracket.url"), drive.path(".versions"),
        drive.path("Emulated Archive/.versions"), f"{files}/Deleted/.versions/deleted.txt",
    ):  # fmt: skip
        assert drive.call("errno_of", "stat", path) == errno.ENOENT, path
    assert drive.call("listdir", drive.path("Emulated Archive/Long Past/.versions")) == []
    assert drive.call("listdir", f"{files}/Folders/.versions") == []
    assert drive.call("errno_of", "stat", f"{files}/one version@v2.dwg") == errno.ENOENT
    assert drive.call("read", f"{files}/one version@v1.dwg") == b"one version.dwg 1\n"
    assert drive.counts().get("versions", 0) == 0


def test_everything_that_would_change_a_version_is_refused(names, drive):
    """The drive is read-only, and says so; only the attributes' errors are those of all files."""
    found = drive.call(
        "write_all_ways",
        f"{names}/.versions/plan.dwg",
        f"{names}/plan@v1.dwg",
        f"{names}/.versions",
    )
    assert set(found.values()) == {errno.EROFS}


@pytest.fixture(scope="module")
def unknowns(drive: Drive, emulator: EmulatorProcess) -> Iterator[str]:
    """Names of files with three versions each, whose lists nobody has asked for."""
    names = [f"unknown {number}" for number in range(24)]
    for name in names:
        item = emulator.change("add_item", path=FILES, name=f"{name}.txt", text="1")
        for text in ("22", "333"):
            emulator.change("new_version", id=item["id"], text=text)
    look_again(drive, FILES)
    return iter(names)


@pytest.fixture
def unknown(unknowns: Iterator[str], drive: Drive, calm: EmulatorProcess) -> str:
    """The path of one of them without its ``.txt``."""
    return drive.path(FILES, next(unknowns))


TRIED_AGAIN = (errno.EIO, errno.ETIMEDOUT)
"""As long as the deadline of a second allows, which on a busy machine passes during a try."""
REFUSALS: dict[str, tuple[str, dict[str, int], tuple[int, ...]]] = {
    "403": ("status", {"status": 403}, (errno.EACCES,)),
    "404": ("status", {"status": 404}, (errno.ESTALE,)),
    "410": ("status", {"status": 410}, (errno.ESTALE,)),
    "400": ("status", {"status": 400}, (errno.EIO,)),
    "500": ("status", {"status": 500}, TRIED_AGAIN),
    "html": ("html_200", {}, (errno.EIO,)),
    "truncated": ("truncated_json", {}, TRIED_AGAIN),
    "types": ("wrong_json_types", {}, (errno.EIO,)),
    "reset": ("reset_before_headers", {}, TRIED_AGAIN),
    "slow": ("stall_before_headers", {"seconds": 3}, (errno.ETIMEDOUT,)),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_refused_list_of_versions_is_never_absence(unknown, drive, case):
    """Neither for the history nor for a version in it; and it is as it was when the service answers
    again, except that a refusal is remembered for half a minute."""
    kind, fields, expected = REFUSALS[case]
    drive.emulator.fault(kind, route="versions", times=None, **fields)
    folder, _, name = unknown.rpartition("/")
    paths = [f"{unknown}@v1.txt", f"{unknown}@v2.txt"]
    assert set(drive.call("probe", paths)) <= {*expected}
    history = f"{folder}/.versions/{name}.txt"
    assert drive.call("errno_of", "listdir", history) in expected
    assert drive.call("errno_of", "stat", history) == 0
    assert drive.call("probe", [f"{unknown}@v3.txt", f"{unknown}@v4.txt"]) == [0, errno.ENOENT]
    drive.emulator.clear_faults()
    if case == "403":
        assert drive.call("errno_of", "read", paths[0]) in expected
    else:
        wait_until(lambda: drive.call("errno_of", "read", paths[0]) == 0)
        assert drive.call("read", paths[0]) == b"1"
    assert "Traceback" not in drive.log()


def test_a_list_that_is_older_than_the_folder_is_no_list(unknown, drive):
    """Its index lags: what it lacks would be missing for ever."""
    name = unknown.rpartition("/")[2]
    drive.emulator.change("rename", path=f"{FILES}/{name}.txt", name=f"{name} late.txt")
    look_again(drive, FILES)
    drive.emulator.fault("missing_row", route="versions", times=1, name=f"{name} late.txt")
    assert drive.call("errno_of", "stat", f"{unknown} late@v1.txt") == errno.EIO
    assert drive.call("read", f"{unknown} late@v1.txt") == b"1"


def test_a_list_that_is_newer_than_the_folder_has_what_the_folder_has(unknown, drive):
    """The same names answer in the history and beside the file."""
    folder, _, name = unknown.rpartition("/")
    path, history = f"{FILES}/{name}.txt", f"{folder}/.versions/{name}.txt"
    drive.emulator.change("new_version", path=path, text="4444")
    three = [f"{name}@v{number}.txt" for number in (1, 2, 3)]
    assert drive.call("listdir", history) == three
    assert drive.call("errno_of", "stat", f"{unknown}@v4.txt") == errno.ENOENT
    drive.emulator.change("hide", path=path)
    assert drive.call("listdir", history) == three
    assert drive.call("read", f"{unknown}.txt") == b"333"


@pytest.mark.parametrize("how", ["no_id", "number", "no_type", "no_name"])
def test_a_rotten_version_spoils_the_list(unknown, drive, how):
    drive.emulator.fault("rotten_row", route="versions", times=1, at=1, how=how)
    first = drive.call("errno_of", "stat", f"{unknown}@v1.txt")
    assert first in (0, errno.EIO)
    assert drive.call("read", f"{unknown}@v1.txt") == b"1"
    assert drive.call("read", f"{unknown}@v2.txt") == b"22"


@pytest.mark.parametrize("kind", ["page_circle", "next_other_host"])
def test_pages_that_lead_nowhere_are_no_list(drive, calm, kind):
    drive.call("listdir", drive.path(FILES))
    calm.fault(kind, route="versions", times=None)
    path = drive.path(FILES, ".versions", "201 versions.txt")
    assert drive.call("errno_of", "listdir", path) == errno.EIO
    calm.clear_faults()


def test_offline_what_is_known_answers_and_the_rest_fails(unknown, names, drive):
    done = drive.home.run("offline", "on", str(drive.point))
    assert done.returncode == 0, done.stderr
    try:
        assert len(drive.call("listdir", f"{names}/.versions/plan.dwg")) == 3
        assert drive.call("errno_of", "stat", f"{unknown}@v1.txt") == errno.EIO
        assert drive.call("errno_of", "stat", f"{unknown}@v9.txt") == errno.ENOENT
        assert drive.call("errno_of", "stat", f"{unknown}@v3.txt") == 0
    finally:
        assert drive.home.run("offline", "off", str(drive.point)).returncode == 0
    assert drive.call("read", f"{unknown}@v1.txt") == b"1"


def test_a_version_whose_bytes_are_gone(unknown, drive):
    """Its name stays: the list said so."""
    path = f"{unknown}@v1.txt"
    assert drive.call("stat", path).st_size == 1
    drive.emulator.fault("status", route="sign", times=None, status=404)
    assert drive.call("errno_of", "read", path) == errno.ESTALE
    assert drive.call("errno_of", "stat", path) == 0
    drive.emulator.clear_faults()


def test_the_history_of_an_item_that_was_deleted_is_gone_with_it(unknown, drive):
    folder, _, name = unknown.rpartition("/")
    assert drive.call("read", f"{unknown}@v1.txt") == b"1"
    item = drive.emulator.change("hide", path=f"{FILES}/{name}.txt")
    look_again(drive, FILES)
    for path in (f"{unknown}@v1.txt", f"{unknown}@v3.txt", f"{folder}/.versions/{name}.txt"):
        assert drive.call("errno_of", "stat", path) == errno.ENOENT
    drive.emulator.change("restore", id=item["id"])
    look_again(drive, FILES)
    assert drive.call("listdir", f"{folder}/.versions/{name}.txt") == [
        f"{name}@v{number}.txt" for number in (1, 2, 3, 5)
    ]


def test_equal_names_have_histories_of_their_own(drive, calm):
    for text in ("one", "other"):
        item = calm.change("add_item", path=FILES, name="twins.txt", text=f"{text} 1")
        calm.change("new_version", id=item["id"], text=f"{text} 2")
    look_again(drive, FILES)
    hashed = f"twins ~{hashlib.sha256(item['id'].encode()).hexdigest()[:8]}"
    assert drive.call("read", drive.path(FILES, "twins@v1.txt")) == b"one 1"
    assert drive.call("read", drive.path(FILES, f"{hashed}@v1.txt")) == b"other 1"
    assert drive.call("listdir", drive.path(FILES, ".versions", f"{hashed}.txt")) == [
        f"{hashed}@v1.txt", f"{hashed}@v2.txt",
    ]  # fmt: skip


def test_names_as_long_as_names_may_be(drive, calm):
    """The name of a version is cut, as its file's would be: it names the same in both places."""
    names = [f"{stem}.txt" for stem in ("L" * 251, "é" * 125 + "x")]
    for name in names:
        item = calm.change("add_item", path=FILES, name=name, text="1")
        calm.change("new_version", id=item["id"], text="22")
    look_again(drive, FILES)
    for name in names:
        listed = drive.call("listdir", drive.path(FILES, ".versions", name))
        assert [len(each.encode()) > 251 for each in listed] == [True, True]
        assert drive.call("read", drive.path(FILES, ".versions", name, listed[0])) == b"1"
        assert drive.call("read", drive.path(FILES, listed[0])) == b"1"
