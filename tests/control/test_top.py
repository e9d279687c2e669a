"""`dmfs top`: a pure frame of two statuses, and the command at a terminal."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dmfs.cli.control.top_frame import frame
from dmfs.cli.control.words import cells, clip, clip_start, duration, size
from tests.support.mounts import Drive, dmfs_command

CPU_SHARE_MAX = 0.03
"""Three times what is promised: a slow machine has half the processor."""


def status(**more: Any) -> dict[str, Any]:
    chosen: dict[str, Any] = {
        "mountpoint": "/mnt/x", "state": "online", "since": "2026-01-01T00:00:00Z",
        "quotas": [
            {"name": "contents", "used": 291, "limit": 300, "waiting": 12, "held_until": None}
        ],
        "cache": {
            "bytes": 1 << 30, "limit_bytes": 20 << 30,
            "hits": {"memory": 0, "page_cache": 0, "disk": 0, "network": 0},
            "hit_bytes": {"memory": 0, "page_cache": 0, "disk": 0, "network": 0},
        },
        "requests": {"waiting": 0, "oldest_s": 0.0, "oldest": None},
        "pins": {"total": 3, "done": 1, "bytes": 5, "total_bytes": 9},
        "processes": [], "transfers": [],
    } | more  # fmt: skip
    return chosen


def program(pid: int, name: str, **more: int) -> dict[str, Any]:
    return {"pid": pid, "program": name, "bytes": 0, "calls": 0, "waiting": 0, "open_files": 0} | {
        **more
    }


def test_rates_are_of_the_time_between() -> None:
    before = status(processes=[program(7, "cp", bytes=1 << 20), program(8, "find", calls=5)])
    now = status(
        processes=[
            program(8, "find", calls=17, waiting=3),
            program(7, "cp", bytes=5 << 20, open_files=1),
        ],
        transfers=[{"path": "/a/b", "pid": 7, "program": "cp", "size": 8 << 20, "given": 4 << 20}],
    )
    lines = [line.text for line in frame(before, now, 2.0, 80, 24)]
    text = "\n".join(lines)
    assert re.search(r"contents +#########\. 291/300 12 wait", text)
    (cp,) = [line for line in lines if " cp " in line]
    assert cp.split() == ["7", "cp", "5.0", "MiB", "2.0", "MiB/s", "0", "0", "1"]
    (find,) = [line for line in lines if " find " in line]
    assert find.split()[:2] == ["8", "find"]
    assert lines.index(cp) < lines.index(find)  # the busiest first
    (file,) = [line for line in lines if line.endswith("/a/b")]
    assert file.split()[:3] == ["50", "%", "2.0"]


@given(
    path=st.text(max_size=300),
    name=st.text(max_size=30),
    count=st.integers(0, 60),
    width=st.integers(40, 200),
    height=st.integers(8, 60),
)
def test_a_frame_fits_the_terminal(
    path: str, name: str, count: int, width: int, height: int
) -> None:
    now = status(
        processes=[program(n, name, waiting=n) for n in range(count)],
        transfers=[
            {"path": path, "pid": n, "program": name, "size": n, "given": 0} for n in range(count)
        ],
        requests={
            "waiting": 1, "oldest_s": 1.0,
            "oldest": {"op": "read", "path": path, "pid": 1, "program": name},
        },
    )  # fmt: skip
    lines = frame(now, now, 1.0, width, height)
    assert len(lines) <= height
    for line in lines:
        assert cells(line.text) <= width
        assert line.text.isprintable()


def test_words() -> None:
    assert (size(1023), size(1536), size(1 << 40)) == ("1023 B", "1.5 KiB", "1.0 TiB")
    assert (duration(3.21), duration(119), duration(120), duration(7200)) == (
        "3.2 s", "119 s", "2 min", "2 h",
    )  # fmt: skip
    assert cells("図面") == 4
    assert clip("図面", 3) == "図"
    assert clip_start("/a/図面", 5) == "…図面"
    assert clip_start("/a", 5) == "/a"


def test_top_at_a_terminal_of_80_columns(drive: Drive) -> None:
    """Each second a frame, ``q`` ends it, and it costs next to nothing."""
    environ = drive.home.environment() | {"TERM": "xterm-256color", "COLUMNS": "80", "LINES": "24"}
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(dmfs_command()[0], [*dmfs_command(), "top", str(drive.point)], environ)
    try:
        shown = until(terminal, lambda text: text.count("since") >= 2)
        began, before = time.monotonic(), cpu_s(pid)
        shown += until(terminal, lambda text: text.count("since") >= 4)
        share = (cpu_s(pid) - before) / (time.monotonic() - began)
        os.write(terminal, b"q")
        until(terminal, lambda _text: False)
        _, ended = os.waitpid(pid, 0)
    finally:
        os.close(terminal)
    assert ended == 0
    assert share < CPU_SHARE_MAX
    assert str(drive.point)[:40] in shown
    rows = re.sub(r"\x1b\[[0-9;]*H", "\n", shown)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", rows)
    assert max(map(cells, plain.replace("\r", "").split("\n"))) <= 80


def until(terminal: int, enough: Callable[[str], bool], timeout_s: float = 30.0) -> str:
    """What it shows, until it is enough, or until it ends."""
    text, give_up = "", time.monotonic() + timeout_s
    while not enough(text) and time.monotonic() < give_up:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            text += os.read(terminal, 65536).decode("utf-8", "replace")
        except OSError:
            break  # the other side is closed
    return text


def cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_top_without_a_terminal_prints_lines(make_drive: Callable[..., Drive]) -> None:
    drive = make_drive()
    process = subprocess.Popen(
        [*dmfs_command(), "top", str(drive.point)], env=drive.home.environment(),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        first = process.stdout.readline().decode()
        assert first.startswith(str(drive.point))
        assert "\x1b" not in first
        drive.stop()
        _, errors = process.communicate(timeout=30)
        assert process.returncode == 1  # the mount ended
        assert b"the drive has ended" in errors
    finally:
        process.kill()
        process.wait()
