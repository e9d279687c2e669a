"""Killed while the kernel keeps a push waiting: nobody hangs."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from dmfs.fuse import kernel_cache
from dmfs.fuse.push import helper
from dmfs.fuse.push.pusher import Pusher
from tests.support.helpers import real
from tests.support.histories import look_again
from tests.support.mounts import Drive, wait_until
from tests.support.sample import RAW_SAMPLE, SAMPLE

pytestmark = pytest.mark.mount
GONE = (errno.ENOTCONN, errno.ECONNABORTED)
PROGRAM = """
import os, sys
try: getattr(os, sys.argv[1])(*sys.argv[2:])
except OSError as error: sys.exit(error.errno)
"""


@contextmanager
def program(drive: Drive, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A call of another process, which ends with its errno."""
    with subprocess.Popen([sys.executable, "-IS", "-c", PROGRAM, *words]) as started:
        try:
            yield started
        finally:
            if started.poll() is None:  # else it hangs for good, and this test with it
                subprocess.run(["umount", "-f", str(drive.point)], timeout=20, check=False)


@pytest.fixture
def session() -> Iterator[int]:
    """A descriptor as that of a session that nobody has mounted yet."""
    descriptor = os.open("/dev/fuse", os.O_RDWR)
    yield descriptor
    os.close(descriptor)


def waits_in(process: int, function: str) -> bool:
    """Whether a thread of it is in the kernel there."""
    stacks = Path(f"/proc/{process}/task").glob("*/wchan")
    return any(function in each.read_text() for each in stacks)


def helper_of(drive: Drive) -> int:
    assert drive.process is not None
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            words = (stat.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == drive.process.pid and helper.__file__.encode() in words:
            return int(stat.parent.name)
    raise AssertionError("there is none")


def push(process: int, directory: int, name: str) -> None:
    """As the drive orders it."""
    with Path(f"/proc/{process}/fd/0").open("wb") as orders:
        orders.write(helper.ORDER.pack(directory, len(name.encode())) + name.encode())


def is_gone(process: int) -> bool:
    return not Path(f"/proc/{process}").exists()


def test_a_request_that_nobody_has_read(make_drive: Callable[..., Drive]) -> None:
    drive = make_drive()
    assert drive.process is not None
    folder = Path(drive.path(SAMPLE)) / "pushes"
    folder.mkdir()
    (folder / "a").write_bytes(b"a")
    inode, pid = folder.stat().st_ino, helper_of(drive)
    os.kill(drive.process.pid, signal.SIGSTOP)
    with program(drive, "rename", str(folder / "a"), str(folder / "b")) as renames:
        wait_until(lambda: waits_in(renames.pid, "request_wait_answer"))
        push(pid, inode, "c")
        wait_until(lambda: waits_in(pid, "reverse_inval_entry"))
        drive.kill()
        assert renames.wait(10) in GONE
    wait_until(lambda: is_gone(pid))
    with pytest.raises(OSError, match="not connected"):
        os.statvfs(folder)


def test_a_request_that_was_read(make_drive: Callable[..., Drive]) -> None:
    """A lookup, whose folder is not listed yet."""
    drive = make_drive()
    assert drive.process is not None
    parent = Path(drive.path(SAMPLE))
    inode, pid = parent.stat().st_ino, helper_of(drive)
    drive.emulator.fault("stall_before_headers", route="contents", times=9)
    with program(drive, "stat", str(parent / "Plans" / "no such")) as looks:
        wait_until(lambda: waits_in(looks.pid, "request_wait_answer"))
        for name in ("a", "b"):
            push(pid, inode, name)
        drive.kill()
        assert looks.wait(10) in GONE
    wait_until(lambda: is_gone(pid))


def test_it_ends_with_the_drive(make_drive: Callable[..., Drive]) -> None:
    drive = make_drive()
    pid = helper_of(drive)
    assert drive.stop() == 0
    wait_until(lambda: is_gone(pid))


def test_somebody_kills_it(make_drive: Callable[..., Drive]) -> None:
    """The drive goes on, and tells the kernel itself."""
    drive = make_drive(log_level="info")
    folder = Path(drive.path(SAMPLE)) / "no helper"
    folder.mkdir()
    os.kill(helper_of(drive), signal.SIGKILL)
    for number in range(3):
        (folder / "a").write_bytes(b"a" * number)
        drive.tool("dmfs", "refresh", str(folder))
        (folder / "a").rename(folder / "b")
        assert [each.name for each in folder.iterdir()] == ["b"]
    assert drive.stop() == 0


def test_without_a_thread_names_are_pushed_here(
    session: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(fcntl, "ioctl", lambda *_: 0)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    here: list[tuple[int, bytes]] = []
    pusher = Pusher(session, lambda parent, name: here.append((parent, name)))
    pusher.push(1, b"a")
    assert here == [(1, b"a")]
    assert "thread" in caplog.text
    pusher.close()


def test_a_drive_that_is_read_alone_has_none_until_something_changes(
    make_drive: Callable[..., Drive],
) -> None:
    drive = make_drive(options=["ro"])
    folder = Path(drive.path(SAMPLE))
    assert list(folder.iterdir())
    with pytest.raises(AssertionError, match="there is none"):
        helper_of(drive)
    drive.emulator.change("add_item", path=RAW_SAMPLE, name="pushed.txt", size=5)
    look_again(drive, SAMPLE)
    assert (folder / "pushed.txt").exists()
    assert helper_of(drive)
    assert drive.stop() == 0


def test_a_refresh_ends_when_the_kernel_was_told(make_drive: Callable[..., Drive]) -> None:
    drive = make_drive(options=["ro"])
    path = Path(drive.path(SAMPLE), "told.txt")
    for text in ("before", "first", "second"):  # the helper starts with the first change
        op = "add_item" if text == "before" else "new_version"
        where = RAW_SAMPLE if op == "add_item" else f"{RAW_SAMPLE}/told.txt"
        drive.emulator.change(op, path=where, name="told.txt", text=text)
        if text != "second":
            look_again(drive, SAMPLE)
            assert path.read_text() == text
    process = helper_of(drive)
    drive.emulator.reset()
    os.kill(process, signal.SIGSTOP)  # as on a machine that has no time for it
    with ThreadPoolExecutor(1) as other:
        refresh = other.submit(look_again, drive, SAMPLE)
        try:
            wait_until(lambda: drive.counts().get("contents"))
            assert not wait([refresh], 0.2).done
        finally:
            os.kill(process, signal.SIGCONT)
        refresh.result(20)
    assert path.read_text() == "second"
    os.kill(process, signal.SIGKILL)  # then nobody tells, and nobody waits for it
    look_again(drive, SAMPLE)
    assert drive.stop() == 0


@real
async def test_a_helper_that_does_not_answer_is_waited_for_a_while(
    session: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "ioctl", lambda *_: 0)
    monkeypatch.setattr(kernel_cache, "ARRIVAL_S", 0.1)
    pusher = Pusher(session, lambda *_: None)
    arrivals = kernel_cache.Arrivals(pusher)
    await arrivals.wait()  # nothing was ever pushed
    pusher.push(1, b"a")
    os.kill(pusher.pid, signal.SIGSTOP)
    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(arrivals.wait)
    assert not pusher.has_passed(3)
    os.kill(pusher.pid, signal.SIGCONT)
    monkeypatch.setattr(kernel_cache, "ARRIVAL_S", 20.0)
    await arrivals.wait()
    assert pusher.has_passed(4)
    assert not pusher.has_passed(5)
    async with trio.open_nursery() as nursery:
        os.kill(pusher.pid, signal.SIGSTOP)
        nursery.start_soon(arrivals.wait)
        await trio.testing.wait_all_tasks_blocked()
        arrivals.close()  # the mount ends
    os.kill(pusher.pid, signal.SIGKILL)
    await arrivals.wait()
    pusher.close()


def test_orders_after_its_end_are_carried_out_here(
    session: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a helper that has no session, and so pushes nothing."""
    monkeypatch.setattr(fcntl, "ioctl", lambda *_: 0)
    here: list[tuple[int, bytes]] = []
    pusher = Pusher(session, lambda parent, name: here.append((parent, name)))
    pusher.push(1, b"before")
    assert here == []
    os.kill(pusher.pid, signal.SIGKILL)

    def is_told_here() -> bool:
        pusher.push(1, b"after")
        return bool(here)

    wait_until(is_told_here)
    assert set(here) == {(1, b"after")}
    pusher.close()
