"""Bytes at rest are the same whichever way they went; what cannot go directly goes anyway."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dmfs.blocks.store.sparse_file import ALIGNED, DIRECT_FROM_BYTES, SparseFile

MIB = 1024 * 1024
START = 3 * 128 * 1024


@pytest.fixture
def memory() -> mmap.mmap:
    mapped = mmap.mmap(-1, 2 * MIB)
    mapped[:] = os.urandom(2 * MIB)
    return mapped


@pytest.fixture
def file(tmp_path: Path) -> Iterator[SparseFile]:
    opened = SparseFile(tmp_path / "a" / "1", os.O_CREAT)
    yield opened
    opened.close()


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize(
    "length", [1, ALIGNED, DIRECT_FROM_BYTES - 1, DIRECT_FROM_BYTES + 77, 2 * MIB]
)
def test_what_was_written_is_read(
    file: SparseFile, memory: mmap.mmap, length: int, direct: bool
) -> None:
    file.write(memoryview(memory)[:length], START, direct=direct)
    assert os.fstat(file.fd).st_size == START + length
    with mmap.mmap(-1, 2 * MIB) as back, memoryview(back) as buffer:
        assert file.read(buffer, length, START) == length
        assert buffer[:length] == memoryview(memory)[:length]
    assert os.pread(file.fd, length, START) == memory[:length]


def direct_calls(monkeypatch: pytest.MonkeyPatch, error: int = 0) -> list[int]:
    """The lengths of transfers on descriptors with O_DIRECT; each fails with ``error``."""
    lengths = []

    def watch(real, length_of):
        def call(fd, data, *rest):
            if fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
                lengths.append(length_of(data))
                if error:
                    raise OSError(error, os.strerror(error))
            return real(fd, data, *rest)

        return call

    monkeypatch.setattr(os, "pwrite", watch(os.pwrite, len))
    monkeypatch.setattr(os, "preadv", watch(os.preadv, lambda views: len(views[0])))
    return lengths


def test_large_stretches_go_past_the_page_cache(
    file: SparseFile, memory: mmap.mmap, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths = direct_calls(monkeypatch)
    view = memoryview(memory)
    file.write(view[: MIB + 5], START, direct=True)  # its last five bytes cannot
    file.write(view[:1000], 0, direct=True)
    file.write(view[:MIB], START, direct=False)
    assert lengths == [MIB]
    with mmap.mmap(-1, 2 * MIB) as back, memoryview(back) as buffer:
        file.read(buffer, MIB + 5, START)
        file.read(buffer, 1000, 0)
        file.read(buffer[:MIB], MIB, START)
    assert lengths == [MIB, MIB + ALIGNED, MIB]


@pytest.mark.parametrize("where", ["write", "read"])
def test_a_filesystem_without_direct_transfers_is_asked_once(
    file: SparseFile, memory: mmap.mmap, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    view = memoryview(memory)
    file.write(view[:MIB], 0, direct=False)
    lengths = direct_calls(monkeypatch, errno.EINVAL)
    with mmap.mmap(-1, 2 * MIB) as back, memoryview(back) as buffer:
        for _ in range(2):
            if where == "write":
                file.write(view[MIB:], 0, direct=True)
            assert file.read(buffer, MIB, 0) == MIB
            assert buffer[:MIB] == (view[MIB:] if where == "write" else view[:MIB])
    assert len(lengths) == 1


def test_memory_off_the_edge_of_a_page_is_written_all_the_same(
    file: SparseFile, memory: mmap.mmap
) -> None:
    view = memoryview(memory)[13 : 13 + MIB]
    file.write(view, START, direct=True)
    assert os.pread(file.fd, MIB, START) == view


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_failing_disk_is_not_taken_for_one_without_direct_transfers(
    file: SparseFile, memory: mmap.mmap, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    direct_calls(monkeypatch, error)
    with pytest.raises(OSError) as caught:
        file.write(memoryview(memory)[:MIB], 0, direct=True)
    assert caught.value.errno == error


def test_a_closed_file_takes_nothing(tmp_path: Path, memory: mmap.mmap) -> None:
    file = SparseFile(tmp_path / "1", os.O_CREAT)
    file.write(memoryview(memory)[:MIB], 0, direct=True)
    file.close()
    with pytest.raises(OSError):  # its number may be another file's by now
        file.write(memoryview(memory)[:1], 0, direct=False)
    with pytest.raises(OSError):
        file.write(memoryview(memory)[:MIB], 0, direct=True)


@pytest.mark.parametrize("direct", [False, True])
def test_a_call_that_hangs_while_its_file_is_closed_touches_no_other_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: mmap.mmap, direct: bool
) -> None:
    """The number of a file that was closed is the next one's, and a disk that comes back finishes
    what it had begun."""
    file = SparseFile(tmp_path / "1", os.O_CREAT)
    others: list[SparseFile] = []
    real = os.pwrite

    def hang(fd: int, data: memoryview, offset: int) -> int:
        if not others:
            file.close()
            others.extend(SparseFile(tmp_path / name, os.O_CREAT) for name in "234")
        return real(fd, data, offset)

    monkeypatch.setattr(os, "pwrite", hang)
    file.write(memoryview(memory), 0, direct=direct)
    assert (tmp_path / "1").read_bytes() == memory[:]
    for other in others:
        assert os.fstat(other.fd).st_size == 0
        other.close()
    with pytest.raises(OSError, match="closed"):
        file.write(memoryview(memory)[:1], 0, direct=False)
    assert (file.fd, file._direct_fd) == (-1, -1), "closed with its last call"
