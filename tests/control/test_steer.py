"""`dmfs refresh`, `warm`, `evict` and `offline`: by a mount's socket, and without a mount."""

from __future__ import annotations

import errno
import itertools
import json
import os
import pty
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.commands import stdout_of, the_line
from tests.support.mounts import Drive, Home, dmfs_command, wait_until
from tests.support.stores import bytes_at_rest

FILES = "Bench/Bench Project/Project Files"
NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def world_spec() -> str:
    return "small:files=3"


@pytest.fixture
def folder(emulator: EmulatorProcess, calm: EmulatorProcess) -> str:
    """A new folder with two files and a folder in it; its path in the drive."""
    path = f"{FILES}/steered {next(NUMBERS)}"
    emulator.change("add_folder", path=FILES, name=path.rpartition("/")[2])
    for file, size in (("a.rvt", 300_000), ("b.dwg", 5000)):
        emulator.change("add_item", path=path, name=file, size=size)
    emulator.change("add_folder", path=path, name="below")
    emulator.change("add_item", path=f"{path}/below", name="c.rvt", size=1000)
    emulator.reset()
    return path


def events(home: Home, *words: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stdout_of(home, *words, "--json").splitlines()]


def test_what_a_refresh_finds_is_seen_when_it_ends(drive: Drive, folder: str) -> None:
    path = drive.path(folder)
    assert drive.call("listdir", path)
    drive.emulator.change("add_item", path=folder, name="later\n.dwg", size=7)
    assert not Path(path, "later\n.dwg").exists()  # for ten minutes, as this mount is configured
    text = stdout_of(drive.home, "refresh", path).decode().splitlines()
    assert Path(path, "later\n.dwg").stat().st_size == 7
    assert text == [
        f"+ /{folder}/later\ufffd.dwg",
        "1 folder listed, 1 call: 1 added, 0 removed, 0 changed",
    ]
    drive.emulator.reset()
    told = events(drive.home, "refresh", "-r", path)
    assert told[-1]["folders"] == told[-1]["calls"] == 2
    assert drive.counts()["contents"] == 2


def test_refresh_without_a_mount(home: Home, emulator: EmulatorProcess, folder: str) -> None:
    stdout_of(home, "ls", f"/{folder}")
    emulator.change("add_item", path=folder, name="new.dwg", size=7)
    assert f"+ /{folder}/new.dwg" in stdout_of(home, "refresh", f"/{folder}").decode().splitlines()
    line = the_line(home.run("refresh", f"/{folder}/nowhere"), 1)
    assert "nowhere" in line


def test_warm_says_what_it_costs_and_evict_gives_it_back(
    home: Home, emulator: EmulatorProcess, folder: str
) -> None:
    cache = home.cache
    (line,) = stdout_of(home, "warm", "--dry-run", f"/{folder}").decode().splitlines()
    assert line.startswith("2 folders, 3 files, 298.8 KiB (")
    assert line.endswith("to know that): 3 files, 298.8 KiB to fetch, 3 calls, at least 0.0 s")
    emulator.reset()
    told = events(
        home, "warm", "--match", "*.rvt", "--newer", "1h", "--max-size", "1M", f"/{folder}"
    )
    (estimate,) = [each for each in told if each["event"] == "estimate"]
    assert (estimate["files"], estimate["calls"]) == (2, 2)
    assert emulator.counts()["sign"] == 2
    assert emulator.calls()["cdn_bytes"] == estimate["bytes_missing"] == 301_000
    assert bytes_at_rest(cache) == 301_000
    text = stdout_of(home, "warm", f"/{folder}").decode().splitlines()
    assert text[-1] == "2 folders, 1 file, 4.9 KiB fetched, 1 call"
    assert stdout_of(home, "evict", f"/{folder}").decode() == "3 files let go, 298.8 KiB\n"
    assert bytes_at_rest(cache) == 0
    assert "--max-size" in the_line(home.run("warm", "--max-size", "much", f"/{folder}"), 2)


def test_a_warm_mount_reads_offline_and_says_that_it_was_wished(
    make_drive: Callable[..., Drive], folder: str
) -> None:
    drive = make_drive()
    path = drive.path(folder)
    told = events(drive.home, "warm", path)
    assert told[-1] | {"calls": 0} == {
        "event": "done", "folders": 2, "files": 3, "bytes": 306_000, "calls": 0, "failed": 0
    }  # fmt: skip
    assert "until dmfs offline off" in stdout_of(drive.home, "offline", "on", path).decode()
    drive.emulator.reset()
    (status,) = json.loads(stdout_of(drive.home, "status", "--json", str(drive.point)))
    assert status["state"] == "offline_forced"
    assert len(drive.call("read", f"{path}/a.rvt")) == 300_000
    held = os.open(f"{path}/a.rvt", os.O_RDONLY)
    told = events(drive.home, "evict", path)
    os.close(held)
    assert (told[-1]["evicted"], told[-1]["open"]) == (2, 1)
    assert drive.call("errno_of", "read", f"{path}/b.dwg") == errno.EIO
    line = the_line(drive.home.run("refresh", path), 1)
    assert "offline" in line
    assert not any(drive.counts().values())
    assert stdout_of(drive.home, "offline", "off", path).decode() == "online\n"
    assert len(drive.call("read", f"{path}/b.dwg")) == 5000


def test_offline_needs_a_mount(home: Home, tmp_path: Path) -> None:
    assert "no drive is mounted at" in the_line(home.run("offline", "on", str(tmp_path)), 1)


def test_a_terminal_gets_a_bar_and_a_pipe_none(
    home: Home, emulator: EmulatorProcess, folder: str
) -> None:
    emulator.settings(cdn_latency_ms=300)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*dmfs_command(), "warm", f"/{folder}"], env=home.environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=theirs,
    ) as child:  # fmt: skip
        os.close(theirs)
        shown = b""
        try:
            while piece := os.read(ours, 4096):
                shown += piece
        except OSError:
            pass  # the end of a terminal
        os.close(ours)
        assert child.stdout is not None
        text = child.stdout.read().decode()
    assert child.returncode == 0
    assert b"of 2 folders" in shown or b"files" in shown
    assert text.splitlines()[-1].startswith("2 folders, 3 files")


def test_ctrl_c_ends_the_job_in_the_mount(drive: Drive, folder: str) -> None:
    path = drive.path(folder)
    stdout_of(drive.home, "refresh", drive.path(FILES))
    drive.emulator.fault("stall_before_headers", route="sign", times=None)
    child = subprocess.Popen(
        [*dmfs_command(), "warm", path, "--json"], env=drive.home.environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    lines = iter(child.stdout.readline, b"")
    assert any(b'"estimate"' in line for line in lines)
    wait_until(lambda: drive.counts().get("sign"))
    child.send_signal(2)
    _, complaint = child.communicate(timeout=20)
    assert b"Traceback" not in complaint
    drive.emulator.clear_faults()
    assert drive.call("listdir", path)
