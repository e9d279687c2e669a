"""Bytes of a file on a real mount, by every system call that changes or tells them."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.mounts import Drive, wait_until
from tests.support.sample import SAMPLE
from tests.write.saves.place import Folder

pytestmark = pytest.mark.mount
FIVE_TB = 5 * 10**12
REST_S = 0.2
"""As the mount's upload_delay."""


@contextlib.contextmanager
def opened(path: Path, flags: int = os.O_RDWR | os.O_CREAT) -> Iterator[int]:
    fd = os.open(path, flags, 0o644)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def refused(number: int) -> Iterator[None]:
    with pytest.raises(OSError) as caught:
        yield
    assert errno.errorcode[caught.value.errno or 0] == errno.errorcode[number]


def elsewhere(code: str, *arguments: object) -> str:
    """What another process prints."""
    return subprocess.run(
        [sys.executable, "-IS", "-c", code, *map(str, arguments)],
        check=True, capture_output=True, text=True, timeout=30,
    ).stdout.strip()  # fmt: skip


READ = "import sys; print(open(sys.argv[1], 'rb').read().hex())"


def read_elsewhere(path: Path) -> bytes:
    return bytes.fromhex(elsewhere(READ, path))


def spool_bytes(drive: Drive) -> int:
    """Of the data of all drafts."""
    return sum(each.stat().st_size for each in drive.home.state.glob("spool/*/*/data"))


def test_a_map_that_is_stored_to_after_the_close(folder: Folder) -> None:
    path = folder.write("map.bin", b"a" * 10_000)
    with opened(path, os.O_RDWR) as fd:
        view = mmap.mmap(fd, 10_000)
    view[5_000:5_004] = b"HERE"
    view.close()
    wanted = b"a" * 5_000 + b"HERE" + b"a" * 4_996
    wait_until(lambda: read_elsewhere(path) == wanted)
    folder.ends_as("map.bin", wanted, b"a" * 10_000)


def test_a_map_of_a_version(folder: Folder) -> None:
    path = folder.write("map.bin", b"a" * 10_000)
    folder.comes_to_all({"map.bin": [b"a" * 10_000]})
    with opened(path, os.O_RDWR) as fd, mmap.mmap(fd, 10_000) as view:
        view[0:3] = b"new"
        view.flush()
        wanted = b"new" + b"a" * 9_997
        assert read_elsewhere(path) == wanted
    folder.comes_to_all({"map.bin": [b"a" * 10_000, wanted]})


def test_what_is_here_is_copied_in_larger_steps_than_what_has_to_be_fetched(
    folder: Folder,
) -> None:
    """cp(1) and stdio go by st_blksize: what is fetched ahead of a reader costs the service."""
    path = folder.write("here.bin", b"a" * 3_000_000)
    assert path.stat().st_blksize == 1024 * 1024
    of_the_service = Path(folder.drive.path(SAMPLE)) / "README.txt"
    assert of_the_service.stat().st_blksize == 128 * 1024


def test_two_processes_append(folder: Folder) -> None:
    path = folder.write("log.txt", b"")
    code = (
        "import os, sys\nfd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)\n"
        "for n in range(100): os.write(fd, f'{sys.argv[2]}{n:04}\\n'.encode())\n"
    )
    whole = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(whole, b"begin\n")  # and it stays open, whenever the two begin and end
    both = [subprocess.Popen([sys.executable, "-IS", "-c", code, path, who]) for who in "ab"]
    assert [each.wait(30) for each in both] == [0, 0]
    os.close(whole)
    begin, *lines = path.read_bytes().splitlines()
    assert begin == b"begin"
    for who in "ab":
        assert [each for each in lines if each.startswith(who.encode())] == [
            f"{who}{number:04}".encode() for number in range(100)
        ]
    assert len(lines) == 200
    folder.comes_to_all({"log.txt": [path.read_bytes()]})


def test_holes_read_as_zeros(folder: Folder) -> None:
    with opened(folder / "hole") as fd:
        os.pwrite(fd, b"end", 3_000_000)
        os.pwrite(fd, b"begin", 0)
    wanted = b"begin" + bytes(2_999_995) + b"end"
    assert (folder / "hole").read_bytes() == wanted
    folder.comes_to(hole=[wanted])


def test_ftruncate_shrinks_and_grows(folder: Folder) -> None:
    with opened(folder / "f") as fd:
        os.write(fd, b"0123456789")
        os.ftruncate(fd, 4)
        os.ftruncate(fd, 8)
        assert os.fstat(fd).st_size == 8
        assert os.pread(fd, 100, 0) == b"0123\0\0\0\0"
    os.truncate(folder / "f", 2)
    assert read_elsewhere(folder / "f") == b"01"
    folder.ends_as("f", b"01", b"0123\0\0\0\0")


def test_fallocated_room_takes_none_of_the_spool(folder: Folder) -> None:
    before = spool_bytes(folder.drive)
    with opened(folder / "f") as fd:
        os.posix_fallocate(fd, 0, 1 << 20)
        os.pwrite(fd, b"data", 4096)
    assert (folder / "f").stat().st_size == 1 << 20
    assert spool_bytes(folder.drive) - before < 10_000
    folder.comes_to(f=[bytes(4096) + b"data" + bytes((1 << 20) - 4100)])


def test_copies_by_the_kernel(folder: Folder) -> None:
    data = os.urandom(300_000)
    folder.write("from", data)
    with opened(folder / "from", os.O_RDONLY) as source:
        with opened(folder / "ranges") as goal:
            while os.copy_file_range(source, goal, 1 << 20):
                pass
        os.lseek(source, 0, os.SEEK_SET)
        with opened(folder / "sent") as goal:
            while os.sendfile(goal, source, None, 1 << 20):
                pass
    assert (folder / "ranges").read_bytes() == (folder / "sent").read_bytes() == data
    folder.comes_to_all({"from": [data], "ranges": [data], "sent": [data]})


@pytest.mark.parametrize("how", ["flock", "lockf"])
def test_locks_between_processes(folder: Folder, how: str) -> None:
    path = folder.write("f", b"x")
    code = (
        "import fcntl, sys\nfile = open(sys.argv[1], 'r+b')\n"
        "try: getattr(fcntl, sys.argv[2])(file, fcntl.LOCK_EX | fcntl.LOCK_NB); print('got')\n"
        "except BlockingIOError: print('refused')\n"
    )
    with opened(path, os.O_RDWR) as fd:
        getattr(fcntl, how)(fd, fcntl.LOCK_EX)
        assert elsewhere(code, path, how) == "refused"
        getattr(fcntl, how)(fd, fcntl.LOCK_UN)
        assert elsewhere(code, path, how) == "got"


def test_no_file_without_a_name(folder: Folder) -> None:
    with refused(errno.EOPNOTSUPP):
        os.open(folder.path, os.O_TMPFILE | os.O_RDWR)


def test_an_empty_file_is_a_file(folder: Folder) -> None:
    """It goes up only later: most often it is about to be filled."""
    path = folder.write("empty", b"")
    assert path.stat().st_size == 0
    assert read_elsewhere(path) == b""
    folder.comes_to(empty=[b""])


def test_five_terabytes_of_nothing(folder: Folder) -> None:
    before = spool_bytes(folder.drive)
    path = folder.write("big.lck", b"x")  # stays here: nobody has the time
    os.truncate(path, FIVE_TB)
    assert path.stat().st_size == FIVE_TB
    with opened(path, os.O_RDWR) as fd:
        os.pwrite(fd, b"end", FIVE_TB - 3)
        assert os.pread(fd, 10, FIVE_TB - 6) == b"\0\0\0end"
    assert spool_bytes(folder.drive) - before < 100_000
    path.unlink()


def test_o_trunc_empties_at_once(folder: Folder) -> None:
    path = folder.write("f", b"first")
    with opened(path, os.O_RDWR | os.O_TRUNC) as fd:
        assert path.stat().st_size == 0
        assert read_elsewhere(path) == b""
        os.write(fd, b"second")
    assert read_elsewhere(path) == b"second"
    folder.ends_as("f", b"second", b"first")


def test_others_read_what_is_being_written(folder: Folder) -> None:
    path = folder / "f"
    with opened(path) as fd:
        for number in range(5):
            os.write(fd, b"%d" % number * 1000)
            assert read_elsewhere(path) == path.read_bytes()
            assert len(path.read_bytes()) == 1000 * (number + 1)
    folder.comes_to(f=[path.read_bytes()])


def test_many_handles_of_one_file(folder: Folder) -> None:
    path = folder.path / "f"
    first = os.open(path, os.O_RDWR | os.O_CREAT)
    os.pwrite(first, bytes(200), 0)  # and it stays open: what is closed goes up
    many = [first, *(os.open(path, os.O_RDWR) for _ in range(199))]
    for number, fd in enumerate(many):
        os.pwrite(fd, bytes([number]), number)
    assert {os.pread(fd, 200, 0) for fd in many} == {bytes(range(200))}
    for fd in many:
        os.close(fd)
    folder.comes_to(f=[bytes(range(200))])


def test_an_open_without_a_write_costs_nothing(folder: Folder) -> None:
    path = folder.write("f", b"data")
    folder.comes_to(f=[b"data"])
    before = folder.emulator.counts()
    for _ in range(12):
        with opened(path, os.O_RDWR) as fd:
            os.close(os.dup(fd))
            os.fsync(fd)
    folder.write("g", b"next")
    folder.comes_to(f=[b"data"], g=[b"next"])
    after = folder.emulator.counts()
    assert after["versions_post"] == before["versions_post"]
    assert after["storage"] == before["storage"] + 1


def test_a_handle_that_does_not_write_holds_nothing_back(folder: Folder) -> None:
    """Office programs have their document open for writing all the time."""
    path = folder.write("f", b"first")
    folder.comes_to(f=[b"first"])
    with opened(path, os.O_RDWR) as idle:
        path.write_bytes(b"second")
        folder.comes_to(f=[b"first", b"second"])
        os.pwrite(idle, b"S", 0)
        os.fsync(idle)
        assert read_elsewhere(path) == b"Second"
        time.sleep(REST_S)
        folder.comes_to(f=[b"first", b"second"])  # this one is not finished
    folder.comes_to(f=[b"first", b"second", b"Second"])


def test_the_same_bytes_again_are_no_version(folder: Folder) -> None:
    data = b"as it was" * 1000
    path = folder.write("f", data)
    folder.comes_to(f=[data])
    path.write_bytes(data)
    told = path.stat()
    looks = folder.emulator.counts()["details"]
    wait_until(lambda: folder.emulator.counts()["details"] > looks + 1)  # of ours, and of theirs
    time.sleep(REST_S)
    folder.comes_to(f=[data])
    assert path.read_bytes() == data
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (told.st_ino, told.st_mtime_ns)
    path.write_bytes(data + b"!")
    folder.comes_to(f=[data, data + b"!"])


def test_the_room_of_the_spool(folder: Folder) -> None:
    found = os.statvfs(folder.path)
    assert found.f_bavail * found.f_frsize > 1 << 30
    assert found.f_namemax == 255
