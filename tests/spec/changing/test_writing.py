"""Writing through fsspec. Promises of ``dmfs/help/semantics.md`` by their names there."""

from __future__ import annotations

import errno
import hashlib
import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from dmfs.spec.filesystem import DmfsFileSystem
from tests.spec.changing.conftest import WRITES
from tests.spec.conftest import FILES, environment_of
from tests.support.helpers import CHILD_ENVIRONMENT


def hashes(service: EmulatorProcess, name: str) -> list[str]:
    """Of the versions that the service has under a name."""
    items = [each for each in service.writes()["items"] if each["name"] == name]
    return [version["sha256"] for item in items for version in item["versions"]]


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_without_rw_fsspec_writes_nothing(writer: DmfsFileSystem) -> None:
    fs = DmfsFileSystem(settings=WRITES, skip_instance_cache=True)
    path = f"{FILES}/never.txt"
    for change in (
        lambda: fs.pipe_file(path, b""), lambda: fs.open(path, "wb"), lambda: fs.mkdir(path),
        lambda: fs.rm(path), lambda: fs.mv(path, f"{path}2"), lambda: fs.touch(path),
        lambda: fs.cp_file(path, f"{path}2"), lambda: fs.rmdir(path),
    ):  # fmt: skip
        with pytest.raises(OSError, match="rw=True") as raised:
            change()
        assert raised.value.errno == errno.EROFS
    assert not writer.exists(path)


def test_what_is_written_by_fsspec_is_seen_at_once_and_goes_up_once(
    writer: DmfsFileSystem, service: EmulatorProcess, folder: str
) -> None:
    path, data = f"{folder}/one.bin", os.urandom(3_000_000)
    with writer.open(path, "wb") as file:
        file.write(data[:10])
        assert writer.ls(folder) == []  # nothing of it, before it is whole
        file.write(data[10:])
    assert writer.cat_file(path) == data
    facts = writer.info(path)
    assert facts["size"] == len(data)
    assert "storage_id" not in facts
    with pytest.raises(OSError, match="not gone up yet"):
        writer.sign(path)
    with writer.open(path, "r+b") as file:
        file.seek(5)
        file.write(b"five")
        file.seek(0)
        assert file.read(12) == data[:5] + b"five" + data[9:12]
    with writer.open(path, "ab") as file:
        file.write(b"end")
    data = data[:5] + b"five" + data[9:] + b"end"
    assert writer.cat_file(path) == data
    assert writer.settle(20) == []
    assert hashes(service, "one.bin")[-1] == sha256(data)
    assert writer.info(path)["storage_id"]
    assert service.violations() == {}


def test_with_wait_a_close_returns_when_the_service_has_it(
    writer: DmfsFileSystem, service: EmulatorProcess, folder: str
) -> None:
    with writer.open(f"{folder}/waited.txt", "wb", wait=True) as file:
        file.write(b"text")
    assert hashes(service, "waited.txt") == [sha256(b"text")]
    writer.pipe_file(f"{folder}/waited.txt", b"more", wait=True)
    assert hashes(service, "waited.txt") == [sha256(b"text"), sha256(b"more")]


def test_a_transaction_is_seen_at_its_end_or_never(writer: DmfsFileSystem, folder: str) -> None:
    writer.pipe_file(f"{folder}/b", b"before")
    with writer.transaction:
        for name in "ab":
            writer.pipe_file(f"{folder}/{name}", name.encode())
        assert writer.cat(f"{folder}/*") == {f"{folder}/b": b"before"}
    assert writer.cat(f"{folder}/*") == {f"{folder}/a": b"a", f"{folder}/b": b"b"}
    with suppress(RuntimeError), writer.transaction:
        writer.pipe_file(f"{folder}/b", b"never")
        raise RuntimeError
    assert writer.cat(f"{folder}/*") == {f"{folder}/a": b"a", f"{folder}/b": b"b"}


def test_names_that_look_like_patterns_are_names(writer: DmfsFileSystem, folder: str) -> None:
    for name in ("a[1].txt", "a1.txt", "50 %.txt", "#1.txt"):
        writer.pipe_file(f"{folder}/{name}", name.encode())
    assert writer.cat(f"{folder}/a[1].txt") == b"a[1].txt"
    writer.rm(f"{folder}/a[1].txt")
    writer.mv(f"{folder}/#1.txt", f"{folder}/%23.txt")
    assert sorted(writer.ls(folder, detail=False)) == [
        f"{folder}/{name}" for name in ("%23.txt", "50 %.txt", "a1.txt")
    ]


def test_what_cannot_be_is_an_error_of_its_kind(writer: DmfsFileSystem, folder: str) -> None:
    writer.pipe_file(f"{folder}/file", b"")
    writer.mkdir(f"{folder}/dir/inner")
    for kind, change in (
        (FileExistsError, lambda: writer.mkdir(f"{folder}/dir")),
        (FileExistsError, lambda: writer.open(f"{folder}/file", "xb")),
        (FileNotFoundError, lambda: writer.open(f"{folder}/none", "r+b")),
        (FileNotFoundError, lambda: writer.rm(f"{folder}/none")),
        (FileNotFoundError, lambda: writer.mv(f"{folder}/none", f"{folder}/other")),
        (IsADirectoryError, lambda: writer.rm(f"{folder}/dir")),
        (IsADirectoryError, lambda: writer.open(f"{folder}/dir", "wb")),
        (NotADirectoryError, lambda: writer.pipe_file(f"{folder}/file/in", b"")),
        (NotADirectoryError, lambda: writer.rmdir(f"{folder}/file")),
        (OSError, lambda: writer.rmdir(f"{folder}/dir")),
        (OSError, lambda: writer.pipe_file(f"{folder}/a?b", b"")),
        (OSError, lambda: writer.pipe_file(f"{folder}/{'n' * 256}", b"")),
        (OSError, lambda: writer.pipe_file("/", b"")),
        (PermissionError, lambda: writer.mkdir("/Hub")),
        (ValueError, lambda: writer.open(f"{folder}/file", "q")),
    ):
        with pytest.raises(kind):
            change()
    assert writer.find(folder) == [f"{folder}/file"]


def test_the_names_of_files_that_are_being_written_are_nobody_elses(
    writer: DmfsFileSystem, service: EmulatorProcess, folder: str
) -> None:
    """What was saved under one was seen by nobody, and let go of by the next process. One that the
    service has is a file like any other."""
    name = ".0123456789abcdef.partial"
    raw = folder.replace("／", "~1")[1:]
    writer.pipe_file(f"{folder}/other.txt", b"other")
    service.change("add_item", path=raw, name=name, text="theirs")
    for change in (
        lambda: writer.pipe_file(f"{folder}/{name}", b"mine"),
        lambda: writer.open(f"{folder}/{name}", "ab"),
        lambda: writer.mv(f"{folder}/other.txt", f"{folder}/{name}"),
        lambda: writer.cp_file(f"{folder}/other.txt", f"{folder}/{name}"),
    ):
        with pytest.raises(OSError, match="named as files are while") as raised:
            change()
        assert raised.value.errno == errno.EINVAL
    assert writer.cat_file(f"{folder}/{name}") == b"theirs"
    assert f"{folder}/{name}" in writer.ls(folder, detail=False)


def test_moves_and_copies(writer: DmfsFileSystem, folder: str) -> None:
    writer.pipe_file(f"{folder}/a", b"a")
    writer.mv(f"{folder}/a", f"{folder}/b")
    writer.mkdir(f"{folder}/dir")
    writer.mv(f"{folder}/b", f"{folder}/dir")
    writer.settle(20)
    writer.mv(f"{folder}/dir/b", f"{folder}/c")  # the service does not move it
    writer.cp_file(f"{folder}/c", f"{folder}/d")
    writer.mv(f"{folder}/dir", f"{folder}/other")
    assert writer.find(folder, withdirs=True, detail=False)[1:] == [
        f"{folder}/c", f"{folder}/d", f"{folder}/other"
    ]  # fmt: skip
    assert writer.cat_file(f"{folder}/d") == b"a"


def test_a_snapshot_never_hides_what_was_changed_since(writer: DmfsFileSystem, folder: str) -> None:
    writer.pipe_file(f"{folder}/old", b"old")
    writer.settle(20)
    assert writer.find(folder)
    other = pickle.loads(pickle.dumps(writer))
    other.pipe_file(f"{folder}/old", b"newer")
    other.pipe_file(f"{folder}/new", b"new")
    assert other.cat(other.find(folder)) == {f"{folder}/new": b"new", f"{folder}/old": b"newer"}
    assert other.info(f"{folder}/old")["size"] == 5


def test_a_forked_child_takes_nothing_from_an_open_file(
    writer: DmfsFileSystem, folder: str
) -> None:
    file = writer.open(f"{folder}/forked", "wb")
    file.write(b"ours")
    pid = os.fork()
    if pid == 0:
        try:
            file.raw.write(b"theirs")
        except OSError as error:
            file.close()
            os._exit(0 if error.errno == errno.EBADF else 1)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    file.close()
    assert writer.cat_file(f"{folder}/forked") == b"ours"


POOL = """
import multiprocessing
from dmfs.spec.filesystem import DmfsFileSystem

def work(path):
    DmfsFileSystem(settings={settings!r}, rw=True).pipe_file(path, b"by a child")

if __name__ == "__main__":
    child = multiprocessing.get_context("fork").Process(target=work, args=({path!r},))
    child.start()
    child.join()
    raise SystemExit(child.exitcode)
"""
KILLED = """
import os, signal, sys
from dmfs.spec.filesystem import DmfsFileSystem
fs = DmfsFileSystem(settings={settings!r}, rw=True)
fs.pipe_file({path!r}, b"closed")
file = fs.open({cut!r}, "wb")
file.write(b"open still" * 200_000)
os.kill(os.getpid(), signal.SIGKILL)
"""
ENDS = """
from dmfs.spec.filesystem import DmfsFileSystem
fs = DmfsFileSystem(settings={settings!r}, rw=True)
fs.pipe_file({path!r}, b"last")
"""


def child(service: EmulatorProcess, directory: Path, script: str) -> int:
    environment = CHILD_ENVIRONMENT | environment_of(service, directory)
    environment["PYTHONPATH"] = CHILD_ENVIRONMENT["PYTHONPATH"]
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=environment, timeout=60, check=False).returncode


def test_a_process_that_is_killed_or_ends_loses_nothing(
    writer: DmfsFileSystem, service: EmulatorProcess, folder: str, tmp_path: Path
) -> None:
    slow = WRITES | {"upload_delay": "1h"}
    killed = KILLED.format(settings=slow, path=f"{folder}/k.txt", cut=f"{folder}/cut.txt")
    assert child(service, tmp_path, killed) == -signal.SIGKILL
    assert hashes(service, "k.txt") == []
    assert child(service, tmp_path, ENDS.format(settings=slow, path=f"{folder}/e.txt")) == 0
    assert hashes(service, "k.txt") == [sha256(b"closed")]
    assert hashes(service, "e.txt") == [sha256(b"last")]
    assert hashes(service, "cut.txt") == []
    assert child(service, tmp_path, POOL.format(settings=slow, path=f"{folder}/p.txt")) == 0
    assert hashes(service, "p.txt") == [sha256(b"by a child")]


def test_what_the_second_of_two_left_goes_up_with_the_next_one(
    writer: DmfsFileSystem, service: EmulatorProcess, folder: str, tmp_path: Path
) -> None:
    """The first one's spool is free as well, and has the smaller number."""
    slow = WRITES | {"upload_delay": "1h"}
    killed = KILLED.format(settings=slow, path=f"{folder}/2.txt", cut=f"{folder}/cut.txt")
    assert child(service, tmp_path, killed) == -signal.SIGKILL
    spools = tmp_path / "state/workers/default"
    (spools / "0").rename(spools / "1")
    assert child(service, tmp_path, ENDS.format(settings=slow, path=f"{folder}/3.txt")) == 0
    assert hashes(service, "2.txt") == [sha256(b"closed")]


def test_each_process_has_a_spool_of_its_own(
    writer: DmfsFileSystem, service: EmulatorProcess, folder: str
) -> None:
    writer.pipe_file(f"{folder}/mine", b"mine")
    state = Path(os.environ["DMFS_STATE_DIR"]).parent
    assert child(service, state, ENDS.format(settings=WRITES, path=f"{folder}/theirs")) == 0
    assert hashes(service, "theirs") == [sha256(b"last")]
