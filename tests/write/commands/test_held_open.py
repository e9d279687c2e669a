"""What a program has open while its name is taken away and given back, on a real mount: the kernel
must not mix up two files, nor their pages."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.support.commands import stdout_of
from tests.support.mounts import Drive, wait_until
from tests.write.commands.conftest import Folder, sha256
from tests.write.commands.looks import refuse, state_of

pytestmark = pytest.mark.mount
THEIRS, OURS = b"theirs " * 3000, b"ours " * 5000


@contextmanager
def held(path: Path | str, flags: int) -> Iterator[int]:
    fd = os.open(path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


def bytes_of(fd: int) -> bytes:
    return os.pread(fd, 1 << 20, 0)


@pytest.mark.parametrize("words", [("uploads", "discard", "--yes"), ("restore",)])
@pytest.mark.parametrize("how", [os.O_RDONLY, os.O_RDWR, os.O_PATH])
def test_a_deletion_is_taken_back_while_the_file_is_open(
    mounted: Drive, folder: Folder, calm: EmulatorProcess, words: tuple[str, ...], how: int
) -> None:
    folder.add("f.txt", THEIRS.decode())
    path, writes = folder.below(mounted, "f.txt"), how == os.O_RDWR
    calm.fault("status", route="item", status=503, times=None)
    calm.fault("status", route="storage", status=503, times=None)
    with held(path, how) as fd:
        assert path.read_bytes() == THEIRS
        if writes:
            os.ftruncate(fd, 0)
            os.pwrite(fd, OURS, 0)
        before = os.fstat(fd).st_ino
        path.unlink()
        stdout_of(mounted.home, *words, folder.path("f.txt"))
        wait_until(path.exists)
        assert path.read_bytes() == THEIRS
        assert path.stat().st_size == len(THEIRS)
        calm.clear_faults()
        assert os.fstat(fd).st_ino == before != path.stat().st_ino
        with held(f"/proc/self/fd/{fd}", os.O_RDWR) as again:  # another open of no name
            assert bytes_of(again) == (OURS if writes else THEIRS)
            os.pwrite(again, b"NOBODY", 0)
            os.fsync(again)
            os.utime(again, ns=(1, 1))
            if how != os.O_PATH:
                assert bytes_of(fd)[:9] == b"NOBODY" + (OURS if writes else THEIRS)[6:9]
        assert path.read_bytes() == THEIRS
        assert path.stat().st_mtime_ns != 1
        path.write_bytes(b"more")
        stdout_of(mounted.home, "uploads", "--wait")
        assert path.read_bytes() == b"more"
        if how != os.O_PATH:
            assert bytes_of(fd)[:6] == b"NOBODY"
    assert folder.versions("f.txt") == [sha256(THEIRS), sha256(b"more")]
    assert path.read_bytes() == b"more"
    assert calm.violations() == {}


def test_a_file_is_sent_elsewhere_while_it_is_open(
    mounted: Drive, folder: Folder, calm: EmulatorProcess
) -> None:
    """It goes on under the other name; the version that it stood on is seen again."""
    folder.add("a.txt", THEIRS.decode())
    refuse(calm)
    path, other = folder.below(mounted, "a.txt"), folder.below(mounted, "b.txt")
    path.write_bytes(OURS)
    with held(path, os.O_RDWR) as fd:
        wait_until(lambda: state_of(path) == "failed")
        assert bytes_of(fd) == OURS
        stdout_of(mounted.home, "uploads", "retry", "--as", "b.txt", folder.path("a.txt"))
        wait_until(lambda: path.read_bytes() == THEIRS)
        assert other.read_bytes() == bytes_of(fd) == OURS
        assert os.fstat(fd).st_ino == other.stat().st_ino != path.stat().st_ino
        assert os.fstat(fd).st_size == len(OURS)
        calm.clear_faults()
        os.pwrite(fd, b"MORE", 0)
        assert path.read_bytes() == THEIRS
    stdout_of(mounted.home, "uploads", "--wait")
    assert folder.versions("b.txt")[-1] == sha256(b"MORE" + OURS[4:])
    assert folder.versions("a.txt") == [sha256(THEIRS)]
    assert calm.violations() == {}
