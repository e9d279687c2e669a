"""What a drive says about itself while it is in trouble."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import threading

import pytest

from tests.hostile.busy import FOLDER, WORLD
from tests.hostile.measure import gauges
from tests.support.hands import Hands
from tests.support.mounts import mounted_at, wait_until

pytestmark = pytest.mark.mount


@pytest.fixture(scope="module")
def world_spec() -> str:
    return WORLD


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
            lambda: re.search(r"task .*request:\d+ .*_exchange:", drive.log()), 10, "the task"
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
