"""Metrics of real mounts, judged by Prometheus' own tool and by the emulator's counts."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dmfs.telemetry.metric_families import FAMILIES, ROUTES
from tests.control.test_status import allow_in_background
from tests.support.commands import the_line
from tests.support.mounts import Drive, Home, wait_until
from tests.support.promtool import complaints, counters, scraped, series

PROJECT = "Bench/Bench Project"
FILES = f"{PROJECT}/Project Files/small"
CONFIG = {
    "metrics": "127.0.0.1:0", "ttl": "10m", "hub_ttl": "10m", "walk_ahead": 0, "data_timeout": 2,
    "rates": "",
}  # fmt: skip
OF_THE_STATUS = {"dmfs_pinned_bytes"}
"""Left out while the status does not know them."""


@pytest.fixture(scope="module")
def world_spec() -> str:
    return "sample+small:files=6,min=60000,max=90000+big:size=40000000"


@pytest.fixture(scope="module")
def drive_config() -> dict[str, object]:
    return dict(CONFIG)


def address(drive: Drive) -> str:
    match = re.search(r"metrics at http://(\S+)/metrics", drive.log())
    assert match, drive.log()[-1000:]
    return match[1]


@pytest.fixture(scope="module")
def observed(drive: Drive) -> Iterator[Drive]:
    yield drive
    drive.emulator.clear_faults()


def test_promtool_finds_no_fault_in_a_real_scrape(observed: Drive) -> None:
    observed.call("listdir", observed.path(FILES))
    text = scraped(address(observed))
    assert complaints(text) == ""
    assert len(series(text)) < 300
    assert b"small-" not in text
    assert str(observed.point).encode() not in text


def test_a_scripted_mix_is_counted_as_the_emulator_counts_it(observed: Drive) -> None:
    """Listings, reads, an absent name."""
    names = observed.call("listdir", observed.path(FILES))
    after = before = series(scraped(address(observed)))
    observed.emulator.reset()
    for name in names[:3]:
        observed.call("read", observed.path(FILES, name))
    observed.call("listdir", observed.path(PROJECT, "Project Files"))
    observed.call("errno_of", "stat", observed.path(FILES, "absent"))

    def counted() -> dict[str, float]:
        nonlocal after
        after = series(scraped(address(observed)))
        return {route: risen("dmfs_api_calls_total", route=route, outcome="ok") for route in ROUTES}

    def risen(metric: str, **labels: str) -> float:
        key = metric, tuple(sorted(labels.items()))
        return after.get(key, 0.0) - before.get(key, 0.0)

    wait_until(  # the next small files are opened in the background
        lambda: counted() == {route: observed.counts().get(route, 0) for route in ROUTES}
    )
    assert observed.counts()["sign"] >= 1
    assert risen("dmfs_fuse_requests_total", op="open", errno="ok") == 3
    assert risen("dmfs_fuse_request_duration_seconds_count", op="open") == 3
    assert risen("dmfs_fuse_request_duration_seconds_sum", op="open") > 0
    assert risen("dmfs_fuse_request_duration_seconds_count", op="read") == risen(
        "dmfs_fuse_requests_total", op="read", errno="ok"
    )
    given = sum(risen("dmfs_read_bytes_total", tier=t) for t in ("memory", "disk", "network"))
    assert given == sum(
        observed.call("stat", observed.path(FILES, name)).st_size for name in names[:3]
    )


def test_counters_of_a_mount_only_rise_while_it_fails_too(observed: Drive) -> None:
    names = observed.call("listdir", observed.path(FILES))
    seen = counters(scraped(address(observed)))
    for step in range(4):
        if step == 2:
            observed.emulator.fault("status", origin="cdn", times=None, status=403)
        observed.call("errno_of", "read", observed.path(FILES, names[-1 - step % 2]))
        now = counters(scraped(address(observed)))
        assert not [key for key, value in seen.items() if now[key] < value]
        seen = now
    observed.emulator.clear_faults()


def test_a_mount_shows_every_metric_that_its_status_knows(observed: Drive) -> None:
    shown = {family.name for family in text_string_to_metric_families(text_of(observed))}
    every = {family.name.removesuffix("_total") for family in FAMILIES}
    assert every - shown <= OF_THE_STATUS
    assert "process_cpu_seconds" in shown


def text_of(drive: Drive) -> str:
    return scraped(address(drive)).decode()


def test_a_mount_that_cannot_show_metrics_says_why_in_one_line(emulator, tmp_path: Path) -> None:
    point = tmp_path / "point"
    point.mkdir()
    home = Home(tmp_path / "home", emulator, {})
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"metrics=127.0.0.1:{other.getsockname()[1]}"
        done = home.run("mount", "--set", taken, "/", str(point))
    line = the_line(done, 1)
    assert "metrics" in line
    assert "in use" in line
    assert not point.is_mount()


def test_a_mount_shows_metrics_only_if_asked_to(emulator, tmp_path: Path) -> None:
    with Drive(tmp_path, emulator) as drive:
        assert "metrics at" not in drive.log()
        assert drive.process is not None
        # 0A: listening
        rows = Path(f"/proc/{drive.process.pid}/net/tcp").read_text().splitlines()[1:]
        listening = {row.split()[9] for row in rows if row.split()[3] == "0A"}
        ours = {str(link.readlink()) for link in Path(f"/proc/{drive.process.pid}/fd").iterdir()}
        assert not {f"socket:[{inode}]" for inode in listening} & ours


READERS = 512
STALLED = f"""
import os, sys, threading
fd = os.open(sys.argv[1], os.O_RDONLY)
size = os.fstat(fd).st_size
def read(number):
    try:
        os.pread(fd, 4096, size // {READERS} * number)
    except OSError:
        pass
for number in range({READERS}):
    threading.Thread(target=read, args=(number,), daemon=True).start()
print("reading", flush=True)
sys.stdin.read()
os._exit(0)
"""


def test_a_scrape_is_answered_while_512_reads_stall_and_the_service_hangs(
    emulator, tmp_path: Path
) -> None:
    config = CONFIG | {"data_timeout": 60, "metadata_timeout": 60}
    with Drive(tmp_path, emulator, config=config, log_level="info") as drive:
        big = drive.path(PROJECT, "Project Files/big")
        path = f"{big}/{drive.call('listdir', big)[0]}"
        drive.call("pread", drive.call("open", path), 0, 1)  # signed
        allow_in_background(drive, READERS)
        for origin in ("cdn", "api"):
            emulator.fault("stall_before_headers", origin=origin, times=None, seconds=None)
        words = [sys.executable, "-c", STALLED, path]
        reader = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            assert reader.stdout is not None
            assert reader.stdout.readline() == b"reading\n"
            wait_until(lambda: waiting(drive) > READERS * 0.9, what="reads that stall")
            for _ in range(5):
                began = time.monotonic()
                assert waiting(drive) > READERS * 0.9
                assert time.monotonic() - began < 5
        finally:
            emulator.clear_faults()
            reader.kill()
            reader.communicate()


def waiting(drive: Drive) -> float:
    return series(scraped(address(drive)))["dmfs_fuse_requests_waiting", ()]
