"""A real drive on its worst days: killed under load with its cache mutilated, read by many, and
asked what it is doing."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.hostile import reader
from tests.hostile.measure import gauges, peak_while, report
from tests.support.hands import Hands
from tests.support.mounts import Drive, mounted_at, wait_until

pytestmark = pytest.mark.mount

FOLDER = "Bench/Bench Project/Project Files"
BIG = 40_000_000
ROUNDS = int(os.environ.get("DMFS_CRASH_ROUNDS", "20"))
LOAD_S = float(os.environ.get("DMFS_LOAD_S", "60"))
PROCESSES = int(os.environ.get("DMFS_LOAD_PROCESSES", "64"))
BROKEN = {errno.ENOTCONN, errno.ECONNABORTED, errno.EIO}
AT_REST = (
    "flying", "gets", "pins", "slots", "users", "files", "directories", "saving", "disk_calls",
)  # fmt: skip
"""Gauges that are 0 on an idle drive."""
RSS_MAX = 300 << 20
DATA_TIMEOUT_S = 60


@pytest.fixture(scope="module")
def world_spec() -> str:
    return f"small:files=60+big:size={BIG},count=3+tree:folders=40,files=200,depth=4"


# Crash and power


def mutilate(cache: Path, dice: random.Random) -> str:
    """As a power cut would: the last bytes of some file were never written, or are zeros."""
    files = [path for path in cache.rglob("*") if path.is_file() and path.stat().st_size]
    if not files:
        return "nothing there"
    path = dice.choice(files)
    size = path.stat().st_size
    cut = min(size, dice.choice((1, 100, 4096, 131_072, 1 << 20, size)))
    with path.open("r+b") as file:
        if dice.random() < 0.5:
            file.truncate(size - cut)
        else:
            file.seek(size - cut)
            file.write(bytes(cut))
    return f"{path.name}: {cut} of {size} bytes"


@pytest.mark.timeout(120 + 15 * ROUNDS)
def test_killed_at_any_moment_with_its_cache_mutilated(calm, make_drive):  # noqa: C901
    seed = time.time_ns() if ROUNDS > 20 else 5
    print("seed", seed)
    dice = random.Random(seed)
    drive = make_drive(name="round", log_level="info")
    names = [f"big/big-0{n}.bin" for n in range(3)]
    tiles = {}
    for name in names:
        storage = drive.call("getxattr", drive.path(FOLDER, name), "user.dmfs.storage_id").decode()
        tiles[name] = calm.bytes(storage, 0, reader.TILE)
    calm.settings(cdn_bytes_per_s=8_000_000)
    wrong, lost = 0, 0
    for number in range(ROUNDS):
        if number:
            for _ in range(dice.randrange(4)):
                print(mutilate(drive.home.cache, dice))
            try:
                drive.start()
            except AssertionError:
                lost += 1
                raise
        hands = [Hands() for _ in range(3)]
        seen: list[bool] = []

        def work(each: Hands, seed: int, seen: list[bool] = seen) -> None:
            own = random.Random(seed)
            while True:
                name = own.choice(names)
                spans = [(own.randrange(BIG), own.choice((1, 5000, 300_000))) for _ in range(5)]
                try:
                    got = each.call("preads", drive.path(FOLDER, name), spans, timeout_s=70)
                except (OSError, AssertionError, ValueError):
                    return  # killed
                for (at, length), data in zip(spans, got, strict=True):
                    want = reader.truth(tiles[name], at, min(BIG, at + min(length, len(data) or 1)))
                    seen.append(data == want)

        threads = [
            threading.Thread(target=work, args=(each, dice.randrange(1 << 30)), daemon=True)
            for each in hands
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.1 + dice.random() * 0.7)
        drive.kill()
        for thread in threads:
            thread.join(30)
            assert not thread.is_alive(), "a reader hangs on a dead drive"
        for each in hands:
            each.close()
        wrong += seen.count(False)
        assert not wrong, f"wrong bytes in round {number}"
        assert drive.call("errno_of", "listdir", drive.path(FOLDER)) == errno.ENOTCONN
        assert "Traceback" not in drive.log()
    calm.settings(cdn_bytes_per_s=0)
    drive.start()
    for name in names:
        data = drive.call("read", drive.path(FOLDER, name))
        assert data == reader.truth(tiles[name], 0, BIG)
    assert drive.stop() == 0
    assert mounted_at(drive.point) is None
    report(kills=ROUNDS, crash_wrong=wrong, lost_mounts=lost)


# The cache disk


def test_a_cache_deleted_under_a_drive_that_another_one_uses_too(calm, make_drive):
    """`rm -rf ~/.cache/dmfs` while mounted; then a second mount makes a cache of its own there."""
    drive = make_drive(name="first")
    names = [f"small/small-{n:05}.txt" for n in range(12)]

    def storage(name: str) -> str:
        path = drive.path(FOLDER, name)
        return str(drive.call("getxattr", path, "user.dmfs.storage_id").decode())

    true = {name: calm.bytes(storage(name)) for name in names}
    for name in names[:6]:
        assert drive.call("read", drive.path(FOLDER, name)) == true[name]
    # not at the first try if the drive puts a block there just then: "Directory not empty"
    rm = ["rm", "-rf", str(drive.home.cache)]
    wait_until(lambda: subprocess.run(rm, check=False).returncode == 0, what="deleted")
    second = Drive(drive.point.parent.parent / "second", calm, home=drive.home)
    try:
        second.start()
        for number, name in enumerate(names):
            for each in (drive, second) if number % 2 else (second, drive):
                assert each.call("read", each.path(FOLDER, name)) == true[name]
        for each in (second, drive):
            for name in names:
                assert each.call("direct", each.path(FOLDER, name), 0, 4096) == true[name][:4096]
    finally:
        second.close()
    assert drive.stop() == 0
    assert "Traceback" not in drive.log() + second.log()


# Load


@pytest.mark.timeout(240 + 2 * LOAD_S)
def test_many_processes_at_once(calm, make_drive, tmp_path):
    drive = make_drive(
        name="load", log_level="info", config={"ttl": "2s", "memory_budget": "64MiB"}
    )
    tiles = tmp_path / "tiles"
    tiles.mkdir()
    names = [f"big/big-0{n}.bin" for n in range(3)]
    names += [f"small/small-{n:05}.txt" for n in range(60)]
    sizes = {}
    for name in names:
        path = drive.path(FOLDER, name)
        storage = drive.call("getxattr", path, "user.dmfs.storage_id").decode()
        sizes[name] = drive.call("stat", path).st_size
        tile = calm.bytes(storage, 0, min(reader.TILE, sizes[name]))
        (tiles / name.replace("/", "_")).write_bytes(tile)
    (tiles / "sizes.json").write_text(json.dumps(sizes))
    before = gauges(drive)
    children = [
        subprocess.Popen(
            [sys.executable, "-IS", reader.__file__, drive.path(FOLDER), str(tiles), str(LOAD_S),
             str(seed)],
            stdout=subprocess.PIPE,
        )
        for seed in range(PROCESSES)
    ]  # fmt: skip
    assert drive.process is not None
    try:
        peak = peak_while(
            drive.process.pid, lambda: any(child.poll() is None for child in children)
        )
        told = [json.loads(child.communicate(timeout=60)[0]) for child in children]
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()
    after = _at_rest(drive)
    print("load", {key: sum(each[key] for each in told) for key in ("operations", "bytes")})
    print("gauges", before, after, "peak", peak >> 20, "MiB")
    assert [each["errors"] for each in told] == [[]] * PROCESSES
    assert sum(each["wrong"] for each in told) == 0
    assert all(each["operations"] for each in told)
    assert max(each["slowest"] for each in told) < DATA_TIMEOUT_S
    for gauge in AT_REST:
        assert after[gauge] == 0, (gauge, after)
    assert after["memory_bytes"] <= 64 << 20
    # idle connections, the stored_objects of closed objects; a leak would be one for each open
    assert after["descriptors"] < before["descriptors"] + 150
    assert after["threads"] < before["threads"] + 20
    assert after["tasks"] < before["tasks"] + 20
    assert peak < RSS_MAX
    assert drive.stop() == 0
    assert "Traceback" not in drive.log()
    report(
        load_processes=PROCESSES, load_s=LOAD_S, peak_rss_mib=peak >> 20,
        load_wrong=sum(each["wrong"] for each in told),
        operations=sum(each["operations"] for each in told),
        gib=round(sum(each["bytes"] for each in told) / (1 << 30), 2),
        slowest_s=round(max(each["slowest"] for each in told), 2),
    )  # fmt: skip


def _at_rest(drive: Drive) -> dict[str, int]:
    """Gauges once nothing is under way: kernel read-ahead and releases come a little later."""
    found: dict[str, int] = {}

    def rest() -> bool:
        found.update(gauges(drive))
        return not any(found[key] for key in AT_REST)

    try:
        wait_until(rest, 20)
    except AssertionError:
        pass  # told by the caller, gauge by gauge
    return found


# Observability


def test_sigusr2_tells_tasks_threads_and_gauges(calm, make_drive):
    drive = make_drive(log_level="warning")
    drive.call("stat", drive.path(FOLDER, "small", "small-00001.txt"))
    calm.fault("stall_before_headers", route="contents", times=None, seconds=None)
    hands = Hands()
    try:
        blocked = threading.Thread(
            target=lambda: hands.call("errno_of", "listdir", drive.path(FOLDER, "tree")),
            daemon=True,
        )
        blocked.start()
        wait_until(lambda: calm.counts()["contents"] >= 3)
        found = gauges(drive)
        assert found["inodes"] > 3
        assert found["rss_bytes"] > 1 << 20
        wait_until(lambda: "most recent call first" in drive.log(), what="faulthandler")
        wait_until(
            lambda: re.search(r"task .*ask_for:\d+ .*_exchange:", drive.log()), 10, "the task"
        )
        assert calm.client_secret not in drive.log()
        assert drive.process is not None
        assert drive.process.poll() is None, "SIGUSR2 ended the drive"
    finally:
        print(drive.log()[-20000:])
        drive.kill()
        blocked.join(20)
        hands.close()


FAILED = re.compile(
    r"op=(\S+) errno=(\S+) cause=(\S+) http=(\S+) request=(\S+) ms=\d+ path='(.*?)': (.*)"
)


def test_a_failed_request_says_why_in_one_line(calm, make_drive):
    drive = make_drive(log_level="warning")
    drive.call("listdir", drive.path(FOLDER))
    calm.fault("status", route="contents", status=403, times=None)
    assert drive.call("errno_of", "listdir", drive.path(FOLDER, "tree")) == errno.EACCES
    calm.clear_faults()
    calm.fault("status", origin="cdn", status=404, shape="xml", times=None)
    path = drive.path(FOLDER, "small", "small-00002.txt")
    assert drive.call("errno_of", "read", path) == errno.ESTALE
    rows = [row.groups() for row in map(FAILED.search, drive.log().splitlines()) if row]
    assert rows[0][:4] == ("opendir", "EACCES", "AccessError", "403")
    assert len(rows[0][4]) == 36, "the error's own id, for there is no header"
    assert rows[0][5] == f"/{FOLDER}/tree"
    assert any(row[1:4] == ("ESTALE", "GoneError", "404") for row in rows)


def test_a_log_that_nobody_reads_stops_no_request(calm, tmp_path, make_drive):
    """stderr is a pipe that is full: lines are dropped, `ls` goes on."""
    drive = make_drive(log_level="debug")
    drive.close()
    read_end, write_end = os.pipe()
    try:
        point = tmp_path / "piped"
        point.mkdir()
        words = ["dmfs", "mount", "--foreground", "/", str(point), "--log-level", "debug"]
        process = subprocess.Popen(
            words, env=drive.home.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=write_end,
        )  # fmt: skip
        hands = Hands()
        try:
            wait_until(lambda: mounted_at(point), 40)
            for _ in range(120):  # some 70 KiB of lines
                for name in ("big", "small", "tree"):
                    hands.call("lstats", f"{point}/{FOLDER}/{name}", timeout_s=20)
                    hands.call("errno_of", "stat", f"{point}/{FOLDER}/{name}/absent {_}")
            assert len(os.read(read_end, 1 << 20)) > 32 << 10
        finally:
            hands.close()
            process.terminate()
            process.wait(20)
    finally:
        os.close(read_end)
        os.close(write_end)
