"""``dmfs uploads`` and what Python processes saved that write without a mount."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.commands import stdout_of, the_line
from tests.support.mounts import Drive, Home, wait_until
from tests.write.commands.conftest import Folder, sha256
from tests.write.commands.looks import refuse, report

WRITES = """
import os, signal, sys
from dmfs.spec.filesystem import DmfsFileSystem
from dmfs.write.writing import Writing

fs = DmfsFileSystem(rw=True, settings={"upload_delay": "1h"})
path = sys.argv[1]
fs.pipe_file(path, b"saved in Python")
file = fs.open(path + ".cut", "wb")
file.write(b"not closed" * 200_000)
if "settle" in sys.argv:
    try:
        fs.settle(20)
    except OSError:
        pass
if "renames" in sys.argv:
    async def killed(*names, **how):
        os.kill(os.getpid(), signal.SIGKILL)

    Writing.rename = killed
    print("saved", flush=True)
    file.close()
print("saved", flush=True)
sys.stdin.read()
os.kill(os.getpid(), signal.SIGKILL)
"""
DATA = b"saved in Python"
Begin = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def begin(writer: Home) -> Iterator[Begin]:
    """``begin(path)``: a process that has saved a file, and has another one open; it is killed as
    its stdin ends."""
    begun: list[subprocess.Popen[bytes]] = []

    def start(path: str, *words: str) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", WRITES, path, *words], env=writer.environment(),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        begun.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"saved\n"
        return process

    yield start
    for process in begun:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def test_what_a_killed_process_left_is_told_and_sent(
    writer: Home, folder: Folder, begin: Begin, calm: EmulatorProcess
) -> None:
    kill(begin(folder.path("left.csv")))
    row = report(writer)["left.csv"]
    assert (row["path"], row["state"], row["process"]) == (folder.path("left.csv"), "waiting", 0)
    assert "its process has ended" in row["reason"]
    assert b"dmfs uploads --wait sends it" in stdout_of(writer, "uploads")
    assert "1 file has not gone up yet" in the_line(writer.run("logout"), 1)
    assert stdout_of(writer, "uploads", "get", row["path"], "-o", "-") == DATA
    assert stdout_of(writer, "uploads", "--wait").startswith(b"nothing waits")
    assert folder.versions("left.csv") == [sha256(DATA)]
    assert report(writer) == {}
    assert calm.violations() == {}


def test_what_was_never_closed_is_let_go_of_by_the_next_process(
    writer: Home, folder: Folder, begin: Begin
) -> None:
    assert begin(folder.path("one.csv"), "renames").wait(20) == -signal.SIGKILL
    (cut,) = {*report(writer, "--local")} - {"one.csv"}
    assert cut.endswith(".partial")
    begin(folder.path("two.csv"))
    rows = report(writer, "--local")
    assert cut not in rows
    assert {"one.csv", "two.csv"} <= {*rows}
    assert any((writer.state / "workers/default/0/discarded").iterdir())


def test_what_a_running_process_has_is_its_own_until_it_ends(
    mounted: Drive, folder: Folder, begin: Begin
) -> None:
    """Beside a mount, which has a spool of its own."""
    home, path = mounted.home, folder.path("live.csv")
    folder.below(mounted, "mine.txt").write_bytes(b"mine")
    process = begin(path)
    assert report(home)["live.csv"]["process"] == process.pid
    for words in (["retry", path], ["discard", "--yes", path]):
        assert f"process {process.pid} has" in the_line(home.run("uploads", *words), 1)
    assert stdout_of(home, "uploads", "get", path, "-o", "-") == DATA
    late = home.run("uploads", "--wait", "--timeout", "1")
    assert late.returncode == 1
    assert f"process {process.pid} has 1 file to send: waiting for it".encode() in late.stderr
    assert b"the time is over: 1 file waits to go up" in late.stdout
    assert folder.versions("mine.txt") == [sha256(b"mine")]
    waiting = subprocess.Popen(
        ["dmfs", "uploads", "--wait"], env=home.environment(), stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    assert waiting.stderr is not None
    assert b"waiting for it" in waiting.stderr.readline()
    kill(process)
    waiting.communicate(timeout=30)
    assert waiting.returncode == 0, "it sends what the process left"
    assert folder.versions("live.csv") == [sha256(DATA)]


def test_what_was_refused_to_an_ended_process_is_tried_again_or_given_up(
    writer: Home, folder: Folder, begin: Begin, calm: EmulatorProcess
) -> None:
    refuse(calm)
    kill(begin(folder.path("again.csv"), "settle"))
    begun = begin(folder.path("never.csv"), "settle")  # it takes the first one's spool over
    kill(begun)
    rows = report(writer)
    assert {name: row["state"] for name, row in rows.items()} == {
        "again.csv": "failed", "never.csv": "failed",
    }  # fmt: skip
    calm.clear_faults()
    said = stdout_of(writer, "uploads", "discard", "--yes", folder.path("never.csv"))
    assert said == f"discarded: {folder.path('never.csv')}\n".encode()
    said = stdout_of(writer, "uploads", "retry", folder.path("again.csv"))
    assert said == f"sent again: {folder.path('again.csv')}\n".encode()
    stdout_of(writer, "uploads", "--wait")
    assert folder.versions("again.csv") == [sha256(DATA)]
    assert b"never.csv" not in stdout_of(writer, "ls", folder.path())
    assert report(writer) == {}


def test_a_damaged_spool_of_a_process_hides_no_other(
    writer: Home, folder: Folder, begin: Begin
) -> None:
    first = begin(folder.path("a.csv"))
    kill(begin(folder.path("b.csv")))
    kill(first)
    spool = writer.state / "workers/default/0"
    for each in spool.glob("journal.db-*"):
        each.unlink()
    (spool / "journal.db").write_bytes(b"no database at all" * 500)
    wait_until(lambda: {*report(writer)} == {"b.csv"})
    assert b"damaged: " in stdout_of(writer, "uploads")
