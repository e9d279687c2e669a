"""`dmfs status`, `events` and `top` of real mounts: right numbers, right names, at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmfs.control.cards import stem_of
from dmfs.control.client import ask
from dmfs.fuse.kernel_params import parameter_paths
from tests.support.commands import stdout_of, the_line
from tests.support.mounts import Drive, dmfs_command, force_unmount, wait_until
from tests.support.ordinary import as_nobody, nobodys_directory, why_not

ACCOUNT = "Emulated Builders \uff0f Headquarters"
FILES = f"{ACCOUNT}/Sample Project/Project Files"
STALLED = 512


def socket_of(drive: Drive) -> Path:
    return drive.home.state / "run" / f"{stem_of(str(drive.point))}.sock"


def status_of(drive: Drive) -> dict[str, Any]:
    value: dict[str, Any] = ask(socket_of(drive), os.getuid(), "/v1/status")
    return value


def test_status_for_people_and_programs(drive: Drive) -> None:
    drive.call("listdir", drive.path(FILES))
    drive.call("read", drive.path(FILES, "README.txt"))
    (found,) = json.loads(stdout_of(drive.home, "status", "--json", str(drive.point)))
    assert found["mountpoint"] == str(drive.point)
    assert (found["state"], found["source"], found["profile"]) == ("online", "/", "default")
    assert drive.process is not None
    assert found["pid"] == drive.process.pid
    assert found["listings"]["known"] >= 4
    assert found["cache"]["hit_bytes"]["network"] > 0
    text = stdout_of(drive.home, "status", str(drive.point)).decode()
    assert text.splitlines()[0] == str(drive.point)
    for word in ("shows", "state", "calls", "cache", "listings", "files"):
        assert f"\n  {word} " in text
    inside = stdout_of(drive.home, "status", f"{drive.point}/{FILES}")
    assert inside.decode().splitlines()[0] == str(drive.point)


def test_each_quota_is_told_with_what_is_used(make_drive: Callable[..., Drive]) -> None:
    drive = make_drive(config={"rates": "contents=60,hubs=10"})
    drive.emulator.reset()
    drive.call("listdir", drive.path(FILES))
    counts = drive.counts()
    quotas = {each["name"]: each for each in status_of(drive)["quotas"]}
    assert (quotas["contents"]["limit"], quotas["hubs"]["limit"]) == (60, 10)
    assert quotas["topFolders"]["used"] == counts["topFolders"] >= 1
    assert quotas["projects"]["used"] == counts["projects"] >= 1
    assert not any(each["waiting"] or each["held_until"] for each in quotas.values())
    drive.emulator.fault("status", route="contents", status=429, times=1)
    drive.call("errno_of", "listdir", drive.path(FILES, "Models"))
    held = {each["name"]: each for each in status_of(drive)["quotas"]}["contents"]
    assert held["used"] >= 1


def test_status_answers_at_once_while_reads_stall_and_the_api_hangs(
    make_drive: Callable[..., Drive],
) -> None:
    """512 reads that wait, an API that hangs: 50 ms, by the best of some tries (machines stall)."""
    drive = make_drive(config={"connections": 8, "data_timeout": "8s", "metadata_timeout": "8s"})
    big = drive.path(FILES, "Large Files", "pointcloud.rcs")
    size = Path(big).stat().st_size
    drive.call("read", big, 0, 10)  # signed, and its first block is there
    allow_in_background(drive, STALLED)
    drive.emulator.fault("stall_before_headers", origin="cdn", times=None)
    for route in ("topFolders", "contents", "projects", "sign"):
        drive.emulator.fault("stall_before_headers", route=route, times=None)
    reader = subprocess.Popen(
        [sys.executable, "-c", READERS, big, str(size), str(STALLED)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    lister = subprocess.Popen(["ls", drive.path(ACCOUNT, "Guest Project")], stdout=-3, stderr=-3)
    try:
        took_ms, most = [], 0
        for _ in range(40):
            began = time.monotonic()
            status = status_of(drive)
            took_ms.append((time.monotonic() - began) * 1000)
            most = max(most, status["requests"]["waiting"])
            if most >= STALLED and len(took_ms) >= 10:
                break
            time.sleep(0.05)
        assert most >= STALLED
        assert sorted(took_ms[-5:])[1] < 50, took_ms
        waiting = {each["pid"]: each["waiting"] for each in status["processes"]}
        assert waiting[reader.pid] >= STALLED // 2
    finally:
        drive.emulator.clear_faults()
        for each in (reader, lister):
            each.kill()
            each.wait()


def allow_in_background(drive: Drive, most: int) -> None:
    """The kernel sends twelve such reads at once; root may ask it for more."""
    control = Path("/sys/fs/fuse/connections")
    subprocess.run(["mount", "-t", "fusectl", "fusectl", str(control)], check=True)
    try:
        parameter_paths(str(drive.point))["max_background"].write_text(str(2 * most))
    finally:
        subprocess.run(["umount", str(control)], check=True)


STRANGER = """
import os, socket, sys
os.chdir(sys.argv[1])
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[2])
s.sendall(b'GET /v1/status HTTP/1.1\\r\\nHost: d\\r\\n\\r\\n')
sys.stdout.write(s.recv(4096).decode())
"""
READERS = """
import mmap, os, sys, threading
path, size, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
# past the page cache: each of its pages is read once
fd = os.open(path, os.O_RDONLY | os.O_DIRECT)
step = size // count // 4096 * 4096
threading.stack_size(128 * 1024)
def read(n): os.preadv(fd, [mmap.mmap(-1, 4096)], n * step)
threads = [threading.Thread(target=read, args=(n,)) for n in range(1, count + 1)]
for t in threads: t.start()
for t in threads: t.join()
"""


def test_each_program_is_named_with_its_bytes_and_calls(
    make_drive: Callable[..., Drive],
) -> None:
    """Five at once: two that read, one that walks, one that lists, one that looks."""
    drive = make_drive(config={"walk_ahead": 0})
    models, drawings = drive.path(FILES, "Models"), drive.path(FILES, "Drawings")
    names = sorted(each.name for each in Path(drawings).iterdir())
    small = f"{drawings}/{next(name for name in names if name.endswith('.dxf'))}"
    big = drive.path(FILES, "Large Files", "Tower.rvt")
    other = drive.path(ACCOUNT, "Guest Project")
    drive.emulator.reset()
    programs = {
        "cat": ["cat", small],
        "head": ["head", "-c", "3000000", big],
        "find": ["find", models, "-type", "f"],
        "ls": ["ls", other],
        "stat": ["stat", "-c", "%F", drive.path("Twin Hub")],
    }
    running = {
        name: subprocess.Popen(words, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
        for name, words in programs.items()
    }
    output = {name: process.communicate(timeout=60)[0] for name, process in running.items()}
    seen = {each["program"]: each for each in wait_until(lambda: closed(drive), 20)}
    for name, process in running.items():
        assert seen[name]["pid"] == process.pid, name
    assert seen["cat"]["bytes"] == len(output["cat"])
    assert len(output["head"]) == 3_000_000 <= seen["head"]["bytes"]
    assert seen["ls"]["calls"] == 1 == drive.counts()["topFolders"]
    assert seen["find"]["calls"] == drive.counts()["contents"] - seen["head"]["calls"] + (
        drive.counts()["sign"] - seen["cat"]["calls"]
    )
    assert seen["stat"]["calls"] == seen["stat"]["bytes"] == 0
    assert seen["dmfs"]["calls"] == 2  # at the start: the sign-in, and the hubs


def closed(drive: Drive) -> Any:
    """The programs, once the kernel has closed their files."""
    status = status_of(drive)
    return status["processes"] if status["open_files"] == 0 else None


def test_events_tell_requests_calls_and_changes(make_drive: Callable[..., Drive]) -> None:
    drive = make_drive()
    process = subprocess.Popen(
        [*dmfs_command(), "events", "-f", str(drive.point)],
        env=drive.home.environment(), stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        json.loads(process.stdout.readline())  # the calls of the start
        wait_until(lambda: drive.call("listdir", drive.path(FILES)), 20)
        seen: list[dict[str, Any]] = []
        for line in process.stdout:
            seen.append(json.loads(line))
            if seen[-1]["event"] == "access" and seen[-1]["op"] == "readdir":
                break
        calls = [each for each in seen if each["event"] == "call"]
        assert "contents" in {each["route"] for each in calls}
        access = seen[-1]
        assert (access["path"], access["outcome"]) == (f"/{FILES}", "ok")
        lately = stdout_of(drive.home, "events", str(drive.point)).splitlines()
        assert {"call"} <= {json.loads(line)["event"] for line in lately}
        drive.stop()
        process.stdout.read()
        assert process.wait(30) == 0  # the mount has ended, and so has this
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_without_a_living_mount(make_drive: Callable[..., Drive]) -> None:
    drive = make_drive()
    line = the_line(drive.home.run("status", "/proc"), 1)
    assert "not a dmfs drive but proc" in line
    assert "no drive is mounted at" in the_line(drive.home.run("status", str(drive.home.cache)), 1)
    drive.kill()
    dead = drive.home.run("status", str(drive.point))
    assert dead.returncode == 1
    assert b"dead: its process" in dead.stdout
    line = the_line(drive.home.run("events", str(drive.point)), 1)
    assert "does not answer" in line
    assert "dmfs umount" in line
    force_unmount(drive.point)
    drive.start()
    drive.stop()
    ended = drive.home.run("status", str(drive.point))
    assert ended.returncode == 1
    assert b"ended by SIGTERM" in ended.stdout
    assert b"the last one ended" in drive.home.run("top", str(drive.point)).stderr


def test_a_stopped_process_is_told_and_holds_nobody_up(make_drive: Callable[..., Drive]) -> None:
    drive = make_drive()
    assert drive.process is not None
    drive.process.send_signal(19)
    try:
        done = drive.home.run("status", str(drive.point), timeout_s=30)
        assert done.returncode == 1
        assert b"silent: the drive does not answer" in done.stdout
    finally:
        drive.process.send_signal(18)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes another user")
def test_another_user_is_refused_in_words(make_drive: Callable[..., Drive]) -> None:
    """Under allow_other too, and where the run directory is open to all."""
    drive = make_drive(options=["allow_other"])
    run = socket_of(drive).parent
    run.chmod(0o755)
    socket_of(drive).chmod(0o666)
    home = {"HOME": "/nonexistent", "DMFS_STATE_DIR": "/nonexistent/s", "DMFS_CONFIG": None}
    with nobodys_directory() as work:
        if (why := why_not(work, "true")) != "":
            pytest.skip(f"root cannot drop to nobody here: {why}")
        words = as_nobody(work, *dmfs_command(), "status", drive.point, reach=[drive.point])
        done = drive.home.tool(*words, environ=home)
        assert "only its owner and root may ask it" in the_line(done, 1)
        words = [sys.executable, "-c", STRANGER, str(run), socket_of(drive).name]
        done = drive.home.tool(*as_nobody(work, *words, reach=[run]))
    assert done.stdout.startswith(b"HTTP/1.1 403"), done


def test_two_mounts_and_no_name(make_drive: Callable[..., Drive]) -> None:
    one = make_drive("one")
    two = make_drive("two", home=one.home)
    line = the_line(one.home.run("events"), 1)
    assert " drives are mounted" in line
    assert str(one.point) in line
    assert str(two.point) in line
    found = json.loads(one.home.run("status", "--json").stdout)
    assert {each["mountpoint"] for each in found} >= {str(one.point), str(two.point)}


@pytest.mark.parametrize("command", ["ls", "stat", "cat"])
def test_a_path_below_the_mountpoint_is_one_of_the_drive(drive: Drive, command: str) -> None:
    path = FILES if command == "ls" else f"{FILES}/README.txt"
    inside = stdout_of(drive.home, command, f"{drive.point}/{path}")
    assert inside == stdout_of(drive.home, command, f"/{path}")
    assert inside


def has_a_socket(process: int) -> bool:
    links = (each.readlink() for each in Path(f"/proc/{process}/fd").iterdir())
    return any(str(link).startswith("socket:") for link in links)


def test_no_command_looks_at_a_mountpoint(make_drive: Callable[..., Drive]) -> None:
    """The process is stopped: whoever looked would never come to ask it, and never come back."""
    drive = make_drive()
    assert drive.process is not None
    drive.process.send_signal(19)
    words = [*dmfs_command(), "events", f"{drive.point}/x"]
    with subprocess.Popen(words, env=drive.home.environment(), stdout=subprocess.DEVNULL) as asks:
        try:
            drive.home.run("ls", f"{drive.point}/{FILES}", timeout_s=90)
            wait_until(lambda: has_a_socket(asks.pid))
            assert asks.poll() is None  # it would wait for a minute
        finally:
            drive.process.send_signal(18)
        assert asks.wait(20) == 0
