"""What a drive costs in calls and bytes: exact counts, from the emulator's own book-keeping."""

from __future__ import annotations

import errno
import threading
from itertools import pairwise

import pytest

from tests.support.hands import Hands
from tests.support.mounts import Drive, wait_until
from tests.support.oracle import Oracle

FILES = "Bench/Bench Project/Project Files"
FOLDERS, ITEMS = 40, 10_000
BIG = 300_000_000


@pytest.fixture(scope="module")
def world_spec() -> str:
    return (
        f"tree:folders={FOLDERS},files=200,depth=5+wide:items={ITEMS}"
        f"+small:files=60+big:size={BIG},count=3"
    )


@pytest.fixture
def cold(emulator, calm, make_drive) -> Drive:
    """A mount that knows nothing yet; its start is part of the count."""
    return make_drive(config={"ttl": "10m", "hub_ttl": "10m"})


@pytest.fixture
def warm(drive, calm) -> Drive:
    """The module's mount, with all of the names known and the counters at 0."""
    drive.tool("ls", "-lR", drive.path(), timeout_s=100)
    drive.emulator.reset()
    return drive


def test_ls_lr_costs_one_call_per_folder_and_the_second_none(cold):
    folders = FOLDERS + 4  # "tree" is one of its 40; Project Files, wide, small, big are further
    oracle = Oracle(cold.emulator)
    pages = oracle.cost.counts
    assert pages["contents"] == folders + ITEMS // 200 - 1
    done = cold.tool("ls", "-lR", cold.path(FILES, "tree"), timeout_s=100)
    assert done.returncode == 0
    assert cold.counts() == {
        "token": 1, "hubs": 1, "projects": 1, "topFolders": 1, "contents": FOLDERS + 1,
    }  # fmt: skip
    assert done.stdout.count(b"\n-r") == 200
    cold.emulator.reset()
    again = cold.tool("ls", "-lR", cold.path(FILES, "tree"), timeout_s=100)
    assert again.stdout == done.stdout
    assert cold.counts() == {}
    assert cold.tool("ls", "-lR", cold.path(), timeout_s=100).returncode == 0
    assert cold.counts() == {"contents": pages["contents"] - FOLDERS - 1}
    cold.emulator.reset()
    assert cold.tool("ls", "-lR", cold.path(), timeout_s=100).returncode == 0
    assert cold.tool("find", cold.path(), "-newer", cold.path(FILES), timeout_s=100).returncode == 0
    assert cold.counts() == {}


def test_walking_the_sample_world_costs_what_its_quirks_demand(own_emulator, make_drive):
    oracle = Oracle(own_emulator)
    own_emulator.reset()
    drive = make_drive(of=own_emulator, config={"ttl": "10m", "hub_ttl": "10m"})
    fresh = drive.path("Emulated Builders \uff0f Headquarters", "Fresh Project")
    for _ in range(3):  # its topFolders answer 404 twice
        drive.call("errno_of", "listdir", fresh)
    drive.tool("ls", "-lR", drive.path(), timeout_s=100)
    # 9 tips are left out of listings: 3 of "half of the tips missing", 6 of "included missing";
    # signing once tells the size of "storageSize missing.bin"
    expected = {"token": 1, **oracle.cost.counts, "item": 9}
    assert expected["sign"] == 1
    expected["topFolders"] += 2  # the 404s of Fresh Project
    assert drive.counts() == expected
    own_emulator.reset()
    drive.tool("ls", "-lR", drive.path(), timeout_s=100)
    # a refusal (Just Archived Project) is remembered for 10 s only
    assert drive.counts() in ({}, {"topFolders": 1})


def test_stat_of_10_000_listed_files_costs_nothing_more(warm):
    found = warm.call("lstats", warm.path(FILES, "wide"))
    assert len(found) == ITEMS
    assert sorted(stat[6] for stat in found.values()) == list(range(1000, 1000 + ITEMS))
    assert warm.counts() == {}


def test_1000_absent_names_cost_nothing(warm):
    names = [warm.path(FILES, "wide", f"no-such-{number}") for number in range(500)]
    names += [warm.path(FILES, f".git-{number}", "HEAD") for number in range(250)]
    names += [warm.path(f"Desktop {number}.ini") for number in range(250)]
    assert set(warm.call("probe", names)) == {errno.ENOENT}
    assert warm.counts() == {}


def test_reading_costs_one_signing_and_a_second_reader_nothing(warm):
    path = warm.path(FILES, "wide", "item-005000.dwg")
    first = warm.call("sha256", path)
    assert first[1] == 6000
    calls = warm.emulator.calls()
    assert {k: n for k, n in calls["counts"].items() if n} == {"sign": 1, "cdn_get": 1}
    assert calls["cdn_bytes"] == 6000
    warm.emulator.reset()
    assert warm.call("sha256", path) == first
    assert warm.call("direct", path, 0, 4096)  # past the kernel's page cache, too
    other = Hands()
    try:
        assert other.call("sha256", path) == first
    finally:
        other.close()
    assert warm.counts() == {}


def test_a_small_file_is_exactly_one_get(warm):
    """Wherever its first read is."""
    for number, offset in ((11, 0), (31, 3000)):
        warm.emulator.reset()
        warm.call("read", warm.path(FILES, "small", f"small-000{number}.txt"), offset, 100)
        assert warm.counts() == {"sign": 1, "cdn_get": 1}
        gets = [row for row in warm.emulator.calls()["log"] if row["route"] == "cdn_get"]
        warm.call("sha256", warm.path(FILES, "small", f"small-000{number}.txt"))
        assert warm.counts() == {"sign": 1, "cdn_get": 1}
        assert [row["status"] for row in gets] == [206]


def test_a_sequential_read_fetches_its_bytes_exactly_once(warm):
    path = warm.path(FILES, "big", "big-00.bin")
    _, size = warm.call("sha256", path, timeout_s=100)
    assert size == BIG
    calls = wait_until(_quiet(warm), what="the transfers end")
    assert calls["cdn_bytes"] == BIG
    assert calls["counts"]["sign"] == 1
    spans = sorted(
        tuple(map(int, row["range"].removeprefix("bytes=").split("-")))
        for row in calls["log"]
        if row["route"] == "cdn_get"
    )
    assert spans[0][0] == 0
    assert spans[-1][1] == BIG - 1
    assert all(left[1] + 1 == right[0] for left, right in pairwise(spans))


def test_two_readers_of_one_file_fetch_it_once(warm):
    path = warm.path(FILES, "big", "big-01.bin")
    others = [Hands(), Hands()]
    got: list[object] = []
    threads = [
        threading.Thread(target=lambda h=h: got.append(h.call("sha256", path, timeout_s=100)))
        for h in others
    ]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(110)
    finally:
        for hands in others:
            hands.close()
    assert len(got) == 2
    assert got[0] == got[1]
    calls = wait_until(_quiet(warm), what="the transfers end")
    assert calls["cdn_bytes"] == BIG
    assert calls["counts"]["sign"] == 1


def test_a_remount_reads_from_disk(emulator, calm, make_drive):
    """What one mount fetched, the next one has; of the service it asks leave (one signing)."""
    first = make_drive(config={"ttl": "10m"})
    path = f"{FILES}/big/big-02.bin"
    digest = first.call("sha256", first.path(path), timeout_s=100)
    assert first.stop() == 0
    emulator.reset()
    again = make_drive(name="again", home=first.home)
    assert again.call("sha256", again.path(path), timeout_s=100) == digest
    counts = again.counts()
    assert counts.get("cdn_get", 0) == 0
    assert counts["sign"] <= 1


def _quiet(drive: Drive):
    """The emulator's account, once no more bytes arrive."""
    last: list[int] = [-1]

    def look():
        calls = drive.emulator.calls()
        same = calls["cdn_bytes"] == last[0] and calls["cdn_bytes"] > 0
        last[0] = calls["cdn_bytes"]
        return calls if same else None

    return look
