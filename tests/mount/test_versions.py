"""Versions of files as paths: what they cost, what they hold, and who never meets them."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.histories import Version, all_versions, look_again, marked
from tests.support.mounts import Drive

FILES = "Emulated Archive/Long Past/Project Files"
RAW = FILES
TEAM = "Emulated Archive Team/Gearbox through Time"
LONG = "201 versions.txt"


@pytest.fixture(scope="module")
def world_spec() -> str:
    return "history"


@pytest.fixture(scope="module", autouse=True)
def versions(emulator: EmulatorProcess) -> list[Version]:
    """Those of the beginning; of the long history a few."""
    found = [
        each
        for each in all_versions(emulator)
        if each.name != LONG or each.number in (1, 2, 100, 200, 201)
    ]
    assert len({each.beside for each in found}) == len(found) == 53
    return found


@pytest.fixture
def fresh(drive: Drive, calm: EmulatorProcess) -> Callable[..., str]:
    """A new file with so many versions: the path of its folder in the drive, and its name."""

    def make(name: str, count: int) -> str:
        item = calm.change("add_item", path=RAW, name=name, text=f"{name} 1\n")
        orders = [
            {"op": "new_version", "id": item["id"], "text": f"{name} {number}\n"}
            for number in range(2, count + 1)
        ]
        calm.changes(*orders)
        look_again(drive, FILES)
        calm.reset()
        return FILES

    return make


def asked(drive: Drive) -> int:
    """Calls for versions since the last reset."""
    return drive.counts().get("versions", 0)


@contextmanager
def costing(drive: Drive, **calls: int) -> Iterator[None]:
    drive.emulator.reset()
    yield
    assert drive.counts() == calls


WALKERS = {
    "find": "find . -type f -size +0",
    "ls": "ls -laR .",
    "du": "du -a --apparent-size .",
    "rsync": "rsync -a ./ {to}/",
    "cp": "cp -a . {to}/",
    "tar": "tar -cf /dev/null .",
    "grep": "grep -r --include=*.dwg -c version .",
}


@pytest.mark.tool("rsync")
def test_an_unlisted_name_is_never_met_by_a_walker(drive, calm, tmp_path):
    """Not one call for versions, and no copy of any."""
    for tool, words in WALKERS.items():
        to = tmp_path / tool
        to.mkdir()
        done = drive.tool("sh", "-c", words.format(to=to), cwd=drive.point, timeout_s=100)
        assert done.returncode in (0, 1) if tool == "grep" else done.returncode == 0, done.stderr
        text = done.stdout.decode()
        assert ".versions" not in text
        assert "@v1" not in text
        assert "@v3" not in text
        names = [path.name for path in to.rglob("*")]
        assert (len(names) > 30) == (tool in ("rsync", "cp"))
        assert ".versions" not in names
        assert [name for name in names if "@v" in name] == ["plan@v2.dwg"] * bool(names)
        shutil.rmtree(to)
    assert asked(drive) == 0


def test_a_folders_histories_cost_nothing(drive, calm, versions):
    for folder in sorted({each.folder for each in versions}):
        drive.call("listdir", drive.path(folder))
        with costing(drive):
            found = drive.call("lstats", drive.path(folder, ".versions"))
        of_folder = [each for each in versions if each.folder == folder]
        tips = {each.name: each.mtime_ns for each in of_folder if each.is_tip}
        times = {name: stat.st_mtime_ns for name, stat in found.items()}
        assert times == tips if folder != FILES else times.items() >= tips.items()
        assert all(stat.st_mode & 0o777 == 0o555 for stat in found.values())


def test_a_history_costs_one_call_and_then_none(fresh, drive, make_drive):
    """One for each 200 versions; the list is on disk, and all mounts share it."""
    drive.call("listdir", drive.path(fresh("costs.txt", 3)))
    here = (FILES, ".versions", "costs.txt")
    with costing(drive, versions=1):
        names = drive.call("listdir", drive.path(*here))
    assert names == ["costs@v1.txt", "costs@v2.txt", "costs@v3.txt"]
    with costing(drive):
        assert drive.call("listdir", drive.path(*here)) == names
        drive.call("lstats", drive.path(*here))
        drive.call("stat", drive.path(FILES, "costs@v1.txt"))
    other = make_drive(home=drive.home, name="other")
    drive.emulator.reset()
    assert other.call("listdir", other.path(*here)) == names
    assert asked(drive) == 0
    assert other.stop() == 0
    again = make_drive(home=drive.home, name="again")
    assert again.call("stat", again.path(FILES, "costs@v2.txt")).st_size == 12
    assert asked(drive) == 0
    drive.emulator.change("new_version", path=f"{RAW}/costs.txt", text="four")
    look_again(drive, FILES)
    with costing(drive, versions=1):
        assert drive.call("listdir", drive.path(*here)) == [*names, "costs@v4.txt"]
        assert drive.call("stat", drive.path(FILES, "costs@v1.txt")).st_size == 12
    look_again(again, FILES)
    with costing(drive):
        assert len(again.call("listdir", again.path(*here))) == 4


def test_more_than_200_versions_are_two_calls(drive, calm):
    path = drive.path(FILES, ".versions", LONG)
    drive.call("listdir", drive.path(FILES))
    with costing(drive, versions=2):
        names = drive.call("listdir", path)
    assert sorted(names) == sorted(marked(LONG, f"v{number}") for number in range(1, 202))


@pytest.mark.parametrize("way", ["beside", "listed"])
def test_every_version_of_every_item_reads_right(drive, emulator, calm, versions, way):
    for each in versions:
        if way == "beside" and each.name == "plan.dwg" and each.number == 2:
            continue  # another item has that name
        path = drive.path(each.beside if way == "beside" else each.listed)
        text = emulator.bytes(each.storage)
        stat = drive.call("stat", path)
        assert (stat.st_size, stat.st_mtime_ns) == (len(text), each.mtime_ns), path
        assert stat.st_mode & 0o777 == 0o444
        assert drive.call("read", path) == text, path


def test_attributes_of_a_version(drive, calm, versions):
    for each in versions:
        if each.name not in ("promoted.dwg", "final.txt", "Data sheet.pdf"):
            continue
        path, facts = drive.path(each.listed), each.facts
        found = drive.call("xattrs", path)
        assert found["user.dmfs.version_id"].decode() == facts["id"]
        assert found["user.dmfs.created_by"].decode() == facts["createUserName"]
        assert found["user.dmfs.storage_id"].decode() == facts["storage"]
        assert found["user.dmfs.version_number"] == b"%d" % each.number
        assert "user.dmfs.version_label" not in found  # tools would copy it
        name = drive.call("getxattr", path, "user.dmfs.version_name").decode()
        assert name == facts["name"]
    labels = [
        drive.call("getxattr", drive.path(FILES, f"promoted@v{n}.dwg"), "user.dmfs.version_label")
        for n in range(1, 7)
    ]
    assert labels == [b"1", b"2", b"3", b"1", b"5", b"2"]


def test_a_version_is_the_file_that_it_was_as_the_tip(fresh, drive):
    """The same inode and the same blocks: neither a signing nor a GET more."""
    fresh("was tip.txt", 2)
    path = drive.path(FILES, "was tip.txt")
    text, number = drive.call("read", path), drive.call("stat", path).st_ino
    assert drive.call("stat", drive.path(FILES, "was tip@v2.txt")).st_ino == number
    drive.emulator.change("new_version", path=f"{RAW}/was tip.txt", text="newer")
    look_again(drive, FILES)
    assert drive.call("read", path) == b"newer"
    with costing(drive, versions=1):
        for old in (
            drive.path(FILES, "was tip@v2.txt"),
            drive.path(FILES, ".versions", "was tip.txt", "was tip@v2.txt"),
        ):
            assert drive.call("stat", old).st_ino == number
            assert drive.call("read", old) == text


def test_the_name_of_a_version_means_the_same_bytes_for_ever(fresh, drive):
    """Whatever becomes of the item, and whoever holds the name open."""
    folder = fresh("lasting.txt", 2)
    path = drive.path(folder, "lasting@v1.txt")
    text, number = drive.call("read", path), drive.call("stat", path).st_ino
    handle = drive.call("open", path)
    for change in (
        {"op": "new_version", "text": "a third"},
        {"op": "promote", "number": 1},
        {"op": "new_version", "text": "a fifth", "name": "lasting.txt"},
    ):
        drive.emulator.change(**change, path=f"{RAW}/lasting.txt")
        look_again(drive, FILES)
        assert drive.call("read", path) == text
        assert drive.call("stat", path).st_ino == number
    drive.emulator.change("hide", path=f"{RAW}/lasting.txt")
    look_again(drive, FILES)
    assert drive.call("pread", handle, 0, 100) == text
    drive.call("close", handle)


def test_a_real_entry_goes_before_the_name_of_a_version(drive, calm):
    real = drive.call("read", drive.path(FILES, "Names", "plan@v2.dwg"))
    version = drive.call("read", drive.path(FILES, "Names/.versions/plan.dwg/plan@v2.dwg"))
    assert real == b"plan@v2.dwg 2\n" * 2
    assert version == b"plan.dwg 2\n" * 2
    assert drive.call("read", drive.path(FILES, "Names/plan@2019-12-24.dwg")) == (
        b"plan@2019-12-24.dwg 1\n"
    )
    assert drive.call("read", drive.path(FILES, "Names/plan@v2@v1.dwg")) == b"plan@v2.dwg 1\n"


def test_a_real_folder_goes_before_the_name_of_all_versions(drive, calm):
    folder = calm.change("add_folder", path=RAW, name="real")
    calm.change("add_folder", id=folder["id"], name=".versions")
    item = calm.change("add_item", id=folder["id"], name="a.txt", text="1")
    calm.change("new_version", id=item["id"], text="22")
    look_again(drive, FILES)
    assert drive.call("listdir", drive.path(FILES, "real")) == [".versions", "a.txt"]
    assert drive.call("listdir", drive.path(FILES, "real", ".versions")) == []
    assert drive.call("read", drive.path(FILES, "real", "a@v1.txt")) == b"1"


def test_a_moment_in_a_name_is_the_newest_version_of_then(drive, calm, emulator):
    """Days are those of UTC, and mean their end."""
    of_file = [each for each in all_versions(emulator) if each.name == "final.txt"]
    assert [each.number for each in of_file] == [1, 2, 3, 4, 5]
    midnight = datetime.fromisoformat("2020-02-04").replace(tzinfo=UTC)
    for half_days in range(18):
        moment = midnight + timedelta(hours=12 * half_days)
        until_ns = int(moment.timestamp()) * 10**9
        then = [each.number for each in of_file if each.mtime_ns <= until_ns]
        expected = b"%d" % max(then) if then else None
        there = moment.astimezone(timezone(timedelta(hours=5, minutes=30)))
        marks = [
            f"{moment:%Y-%m-%dT%H:%MZ}",
            f"{moment:%Y-%m-%dT%H%M%SZ}",
            f"{there:%Y-%m-%dT%H%M%z}",
        ]
        if half_days % 2 == 0:
            marks.append(f"{moment - timedelta(days=1):%Y-%m-%d}")
        for mark in marks:
            path = drive.path(FILES, "Names", marked("final.txt", mark))
            if expected is None:
                assert drive.call("errno_of", "stat", path) == errno.ENOENT, path
            else:
                assert drive.call("getxattr", path, "user.dmfs.version_number") == expected, path


def test_what_was_deleted_on_a_day_is_not_there_then(drive, calm):
    deleted = drive.path(FILES, "Deleted")  # v2 on 21 January, v3 its deletion, v4 its return
    number = drive.call(
        "getxattr", f"{deleted}/deleted and restored@2020-01-21.txt", "user.dmfs.version_number"
    )
    assert number == b"2"
    assert drive.call("errno_of", "stat", f"{deleted}/deleted and restored@2020-01-22.txt") == (
        errno.ENOENT
    )
    assert drive.call("stat", f"{deleted}/deleted and restored@2020-01-23.txt").st_size == 54


def test_a_new_version_shows_as_soon_as_the_file_does(fresh, drive):
    """Through the kernel's caches: in the history, under its number, and under the day of today."""
    folder = fresh("soon.txt", 2)
    history = drive.path(folder, ".versions", "soon.txt")
    today = drive.path(folder, f"soon@{datetime.now(UTC):%Y-%m-%d}.txt")
    assert len(drive.call("listdir", history)) == 2
    assert drive.call("stat", history)
    assert drive.call("read", today) == b"soon.txt 2\n"
    assert drive.call("errno_of", "stat", drive.path(folder, "soon@v3.txt")) == errno.ENOENT
    drive.emulator.change("new_version", path=f"{RAW}/soon.txt", text="the third")
    look_again(drive, FILES)
    assert drive.call("read", drive.path(folder, "soon.txt")) == b"the third"
    assert drive.call("listdir", history)[-1] == "soon@v3.txt"
    assert drive.call("stat", history).st_mtime_ns == (
        drive.call("stat", drive.path(folder, "soon.txt")).st_mtime_ns
    )
    assert drive.call("read", today) == b"the third"
    assert drive.call("read", drive.path(folder, "soon@v3.txt")) == b"the third"


def test_a_design_with_versions_has_no_history(drive, calm):
    """Its versions have no bytes; a cloud model's have from its publication on."""
    drive.call("listdir", drive.path(TEAM))
    with costing(drive):
        assert drive.call("listdir", drive.path(TEAM, ".versions")) == ["Data sheet.pdf"]
        for name in ("Bracket@v1.url", "Bracket.url@v1", ".versions/Bracket.url"):
            assert drive.call("errno_of", "stat", drive.path(TEAM, name)) == errno.ENOENT
    models = drive.path(FILES, "Models")
    assert drive.call("listdir", f"{models}/.versions/Tower.rvt") == [
        "Tower@v3.rvt",
        "Tower@v4.rvt",
    ]
    assert drive.call("errno_of", "stat", f"{models}/Tower@v1.rvt") == errno.ENOENT


def test_copies_of_a_history_keep_names_times_and_bytes(drive, calm, tmp_path: Path):
    done = drive.tool(
        "cp", "-a", drive.path(FILES, ".versions", "seven versions.dwg"), tmp_path / "kept"
    )
    assert (done.returncode, done.stderr) == (0, b"")
    for number in range(1, 8):
        copy = tmp_path / "kept" / f"seven versions@v{number}.dwg"
        assert copy.read_text() == f"seven versions.dwg {number}\n" * number
        there = drive.call("stat", drive.path(FILES, ".versions/seven versions.dwg", copy.name))
        assert copy.stat().st_mtime_ns == there.st_mtime_ns
