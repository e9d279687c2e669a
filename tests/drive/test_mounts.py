"""The metadata plane as programs meet it: real mounts, exact counts of calls."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.drive.conftest import PROJECT
from tests.support.fixtures import running_emulator
from tests.support.mounts import Drive, stop_emulator, wait_until

pytestmark = pytest.mark.mount
FOLDERS = 60
ABOVE = 1
"""Project Files, where "tree" stands."""


def find(drive: Drive, *parts: str) -> list[bytes]:
    done = drive.tool("find", drive.path(*parts), "-type", "f", timeout_s=100)
    assert done.returncode == 0, done.stderr
    return sorted(done.stdout.splitlines())


def test_a_cold_walk_asks_the_minimum_and_overlaps_it(emulator, make_drive):
    drive = make_drive()
    emulator.reset()
    emulator.settings(api_latency_ms=100)
    assert len(find(drive, "Project Files", "tree")) == 300
    # one may be asked in vain (2 %): on a machine this busy a walker may seem to have stopped, and
    # what was asked ahead of it is called off
    counts = drive.counts()
    assert ABOVE + FOLDERS <= counts.pop("contents") <= ABOVE + FOLDERS + 1
    assert not counts
    moments = [row["t"] for row in emulator.calls()["log"] if row["route"] == "contents"]
    # one after the other they would take 6 s; the share of them that went side by side is counted
    together = sum(b - a < 0.05 for a, b in zip(sorted(moments), sorted(moments)[1:], strict=False))
    assert together > FOLDERS / 2


def test_walk_again_after_the_ttl_is_one_call_per_project(emulator, make_drive):
    drive = make_drive(config={"ttl": "2s"})
    first = find(drive, "Project Files", "tree")
    time.sleep(2.2)
    emulator.reset()
    assert find(drive, "Project Files", "tree") == first
    assert drive.counts() == {"topFolders": 1}


def test_a_restarted_mount_walks_without_a_call(emulator, make_drive):
    config = {"ttl": "10m", "hub_ttl": "10m"}
    drive = make_drive(config=config)
    first = [line.rpartition(b"/")[2] for line in find(drive, "Project Files")]
    assert drive.stop() == 0
    emulator.reset()
    again = make_drive("again", home=drive.home)
    assert sorted(line.rpartition(b"/")[2] for line in find(again, "Project Files")) == sorted(
        first
    )
    assert again.counts() == {}


def test_two_listed_folders_trigger_nothing(emulator, make_drive):
    drive = make_drive()
    emulator.reset()
    for parts in ((), ("Project Files",)):
        drive.call("listdir", drive.path(*parts))
    time.sleep(0.3)
    assert drive.counts() == {"contents": 1}


def test_two_mounts_and_a_command_at_once_make_one_call(emulator, make_drive):
    config = {"ttl": "10m", "hub_ttl": "10m"}
    one = make_drive(config=config)
    two = make_drive("two", home=one.home)
    for drive in (one, two):
        drive.call("listdir", drive.path())
    emulator.reset()
    emulator.settings(api_latency_ms=1500)
    with ThreadPoolExecutor(3) as pool:
        listed = [
            pool.submit(drive.call, "listdir", drive.path("Project Files")) for drive in (one, two)
        ]
        said = pool.submit(one.home.run, "ls", f"{PROJECT}/Project Files")
    assert listed[0].result() == listed[1].result()
    assert said.result().stdout.decode().split("\n")[:-1] == listed[0].result()
    counts = one.counts()
    counts.pop("token", None)  # the command's own
    assert counts == {"contents": 1}


def test_all_mounts_of_an_app_keep_to_its_rates_together(emulator, make_drive):
    """A fifth of the published rates, in minutes of 6 s: 60 listings each; two walks of 61."""
    config = {"rates": "contents=60,topFolders=60", "rate_window": "6s", "ttl": "10m"}
    one = make_drive(config=config)
    apart = {"DMFS_CACHE_DIR": str(one.home.directory / "another cache")}
    two = make_drive("two", home=one.home, environ=apart)
    emulator.settings(rate_limits="0.2", rate_window_s=6)
    emulator.reset()
    with ThreadPoolExecutor(2) as pool:
        walks = [pool.submit(find, drive, "Project Files", "tree") for drive in (one, two)]
    assert [len(walk.result()) for walk in walks] == [300, 300]
    assert one.counts()["contents"] == 2 * (ABOVE + FOLDERS)
    assert emulator.calls()["status_429"] == 0


@pytest.mark.tool("rsync")
def test_rsync_again_reads_nothing(emulator, make_drive, tmp_path):
    drive = make_drive(config={"ttl": "2s"})
    words = ("rsync", "-a", drive.path("Project Files", "tree") + "/", f"{tmp_path}/copy/")
    assert drive.tool(*words, timeout_s=100).returncode == 0
    time.sleep(2.2)
    emulator.reset()
    assert drive.tool(*words, timeout_s=100).returncode == 0
    assert drive.counts() == {"topFolders": 1}


def test_a_change_shows_without_anybody_listing(emulator, make_drive):
    """A new version in a directory that was looked at: within the poll, one name invalidated."""
    drive = make_drive(config={"poll": "1s"})
    folder = "Bench/Bench Project/Project Files"
    emulator.change("add_folder", path=folder, name="watched")
    for number in range(5):
        emulator.change("add_item", path=f"{folder}/watched", name=f"{number}.txt", text="old")
    path = drive.path("Project Files", "watched")
    names = drive.call("listdir", path)
    assert len(names) == 5
    before = {name: drive.call("stat", f"{path}/{name}") for name in names}
    emulator.change("new_version", path=f"{folder}/watched/3.txt", text="newer")

    def seen() -> bool:
        return bool(drive.call("stat", f"{path}/3.txt").st_size == 5)

    wait_until(seen, 40, "the new version")
    pushed = [line for line in drive.log().splitlines() if "changed: " in line]
    assert len(pushed) == 1
    assert pushed[0].endswith("changed: /Project Files/watched/3.txt")
    for name in set(names) - {"3.txt"}:
        assert drive.call("stat", f"{path}/{name}").st_ino == before[name].st_ino


def test_a_directory_tells_what_its_listing_is_worth(emulator, make_drive):
    drive = make_drive(config={"ttl": "1s", "patience": "200ms"})
    path = drive.path("Project Files")
    drive.call("listdir", path)
    marks = drive.call("xattrs", path)
    assert time.strptime(marks["user.dmfs.listed_at"].decode(), "%Y-%m-%dT%H:%M:%SZ")
    assert "user.dmfs.stale" not in marks
    emulator.fault("status", origin="api", times=None, status=503)
    time.sleep(1.2)
    assert drive.call("listdir", path)
    assert drive.call("xattrs", path)["user.dmfs.stale"] == b"1"


def test_a_folder_moved_while_walked_keeps_its_content(emulator, make_drive):
    """It appears once or twice; what is in it never disappears."""
    folder = "Bench/Bench Project/Project Files"
    for name in ("from", "to"):
        emulator.change("add_folder", path=folder, name=name)
    emulator.change("add_folder", path=f"{folder}/from", name="moved")
    emulator.change("add_item", path=f"{folder}/from/moved", name="content.txt", text="here")
    drive = make_drive(config={"ttl": "1s"})
    where = ["from", "to"]
    for number in range(6):
        find(drive, "Project Files", "from")
        emulator.change("move", path=f"{folder}/{where[number % 2]}/moved",
                        to=f"{folder}/{where[1 - number % 2]}")  # fmt: skip
        if number % 2:
            time.sleep(1.1)
        found = find(drive, "Project Files", "from") + find(drive, "Project Files", "to")
        assert 1 <= sum(line.endswith(b"/moved/content.txt") for line in found) <= 2


def test_offline_everything_known_answers_and_it_comes_back(emulator, make_drive):
    drive = make_drive(config={"ttl": "1s"})
    first = find(drive, "Project Files", "tree")
    some = first[0].decode()
    content = drive.call("sha256", some)
    emulator.refuse("api", 8.0)
    time.sleep(1.1)
    drive.call("listdir", drive.path("Project Files"))
    wait_until(lambda: "going on with what is cached" in drive.log(), 10, "offline")
    assert find(drive, "Project Files", "tree") == first
    assert drive.call("sha256", some) == content
    assert drive.call("errno_of", "listdir", drive.path("Project Files", "wide")) == 5
    wait_until(lambda: "can be reached again" in drive.log(), 30, "back")
    assert len(drive.call("listdir", drive.path("Project Files", "wide"))) == 2300


def test_a_mount_starts_offline(make_drive):
    with running_emulator(world="tree:folders=6,files=30,depth=2") as own:  # it goes away for good
        drive = make_drive(of=own, source=PROJECT)
        first = find(drive, "Project Files", "tree")
        drive.stop()
        stop_emulator(own)
        again = make_drive("again", of=own, home=drive.home, source=PROJECT)
        assert len(find(again, "Project Files", "tree")) == len(first) > 1
