"""Blocks at rest: not a byte over the limit, and nothing evicted that is open."""

from __future__ import annotations

import fcntl
import os
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dmfs.blocks.store.attached
from dmfs.blocks.store.block_store import DIRECTORY, BlockStore
from dmfs.blocks.store.stored_object import ABSENT, PRESENT
from dmfs.model import StorageId
from dmfs.spans import BLOCK_BYTES, MIB, Span, block_count
from tests.support.helpers import CHILD_ENVIRONMENT
from tests.support.stores import SIZE, A, B, C, books_balance, data_file, full, get, open_store, put


def test_the_limit_holds_before_every_put(tmp_path: Path) -> None:
    limit = 10 * BLOCK_BYTES
    store = open_store(tmp_path, limit)
    dice = random.Random(3)
    for number in range(40):
        size = dice.randrange(1, 6 * BLOCK_BYTES)
        stored = store.attach(StorageId(f"urn:{number}"), size)
        for block in range(block_count(size)):
            assert put(store, stored, Span(block, block + 1))
            assert store.used_bytes() <= limit
        store.release(stored)
    assert store.used_bytes() > limit // 2
    on_disk = sum(
        f.stat().st_size for f in (tmp_path / DIRECTORY / "data").rglob("*") if f.is_file()
    )
    assert on_disk == store.used_bytes()
    store.close()
    books_balance(tmp_path)


def test_exactly_the_limit_fits_and_one_byte_more_evicts(tmp_path: Path) -> None:
    store = open_store(tmp_path, 2 * SIZE)
    for each in (A, B):
        store.release(full(store, each))
    assert store.used_bytes() == 2 * SIZE  # nothing was evicted
    stored = store.attach(C, 1)
    assert put(store, stored)
    assert store.used_bytes() == SIZE + 1
    store.close()


def test_the_least_recently_used_goes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000_000.0]
    monkeypatch.setattr(dmfs.blocks.store.attached, "wall_time_s", lambda: now[0])
    store = open_store(tmp_path, 2 * SIZE)
    for each in (A, B, A):  # A is used again
        now[0] += 100
        stored = store.attach(each, SIZE)
        put(store, stored)
        store.release(stored)
    now[0] += 100
    store.release(full(store, C))
    for each, there in ((A, True), (B, False), (C, True)):
        stored = store.attach(each, SIZE)
        assert (PRESENT in stored.states) is there, each
        store.release(stored)
    store.close()


def test_an_open_object_is_never_evicted(tmp_path: Path) -> None:
    store = open_store(tmp_path, SIZE + 100)
    held = full(store, A)
    newcomer = store.attach(B, SIZE)
    assert not put(store, newcomer)
    assert len(get(store, held)) == SIZE
    assert ABSENT in newcomer.states
    store.release(held)
    assert put(store, newcomer)
    assert store.used_bytes() == SIZE
    store.close()


_HOLDER = """
import sys, pathlib
from dmfs.blocks.store.block_store import BlockStore
store = BlockStore(pathlib.Path(sys.argv[1]), limit_bytes=1 << 30, free_percent=0)
stored = store.attach("urn:a", int(sys.argv[2]))
print(list(stored.states).count(1), flush=True)
sys.stdin.read()
"""


def test_what_another_process_has_open_is_not_evicted(tmp_path: Path) -> None:
    store = open_store(tmp_path, SIZE + 100)
    store.release(full(store, A))
    with subprocess.Popen(
        [sys.executable, "-c", _HOLDER, str(tmp_path), str(SIZE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=CHILD_ENVIRONMENT,
    ) as other:
        assert other.stdout is not None
        assert other.stdin is not None
        assert other.stdout.readline() == "4\n"  # it sees our blocks
        newcomer = store.attach(B, SIZE)
        assert not put(store, newcomer)
        other.stdin.close()
        other.wait(10)
    assert put(store, newcomer)
    store.close()
    assert books_balance(tmp_path) == SIZE


def test_an_evictor_holds_the_lock_only_for_the_moment(tmp_path: Path) -> None:
    store = open_store(tmp_path, SIZE + 100)
    store.release(full(store, A))
    fd = os.open(data_file(tmp_path), os.O_RDWR)
    fcntl.flock(fd, fcntl.LOCK_SH)
    assert not put(store, store.attach(B, SIZE))
    os.close(fd)
    assert put(store, store.attach(C, SIZE))
    store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = (
        os.geteuid() == 0
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)],
            capture_output=True,
            check=False,
        ).returncode
    )
    if not mounted:
        pytest.skip("a small disk can only be mounted by root")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.parametrize("by_surprise", [False, True])
def test_a_full_disk_fails_cleanly_and_recovers(
    small_disk: Path, by_surprise: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen coming by statvfs; and by surprise, as when somebody else fills the disk just then."""
    store = open_store(small_disk)
    if by_surprise:
        monkeypatch.setattr(store._evictor, "fits", lambda need_bytes: True)
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(2 * MIB))
    stored = store.attach(A, 4 * MIB)
    failed = refused = 0
    for number in range(block_count(4 * MIB)):
        try:
            refused += not put(store, stored, Span(number, number + 1))
        except (OSError, sqlite3.Error):
            failed += 1
    assert (failed > 0, refused > 0) == (by_surprise, not by_surprise)
    for number in range(block_count(4 * MIB)):
        get(store, stored, Span(number, number + 1))  # right bytes or none
    ballast.unlink()
    assert put(store, stored, Span(28, 30))
    assert len(get(store, stored, Span(28, 30))) == 2 * BLOCK_BYTES
    store.close()
    books_balance(small_disk)


def test_part_of_the_disk_is_always_left_free(small_disk: Path) -> None:
    store = BlockStore(small_disk, limit_bytes=1 << 30, free_percent=50)
    stored = store.attach(A, 4 * MIB)
    kept = sum(put(store, stored, Span(n, n + 1)) for n in range(block_count(4 * MIB)))
    assert 0 < kept * BLOCK_BYTES <= 2 * MIB
    disk = os.statvfs(small_disk)
    assert disk.f_bavail >= disk.f_blocks * 0.49
    store.close()


def test_evictions_and_refusals_are_counted(tmp_path: Path) -> None:
    store = open_store(tmp_path, SIZE)
    store.release(full(store, A))
    held = full(store, B)
    assert not put(store, store.attach(C, SIZE))
    seen = store.gauges()
    assert (seen["store.evicted_objects"], seen["store.evicted_bytes"]) == (1, SIZE)
    assert (seen["store.written_blocks"], seen["store.refused_blocks"]) == (8, 4)
    assert len(get(store, held)) == SIZE
    store.close()
