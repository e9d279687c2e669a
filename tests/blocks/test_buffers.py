"""A buffer is used again only when nobody can see it any more, and idle ones count."""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.blocks.memory_tier import STEP_BYTES, BufferPool, buffer_bytes
from dmfs.system import shared_memory as arenas
from dmfs.system.shared_memory import Arena, FreeList

MIB = 1024 * 1024
SIZE = 8 * MIB


def a_pool(size_bytes: int = 64 * MIB) -> tuple[BufferPool, Arena]:
    arena = Arena(size_bytes)
    return BufferPool(arena), arena


@pytest.fixture(params=["shared", "not shared"], autouse=True)
def _sharing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "not shared":
        monkeypatch.setattr(arenas, "_shared_file", lambda _size: -1)


def test_a_buffer_that_nobody_has_is_taken_again() -> None:
    pool, arena = a_pool()
    buffer = pool.acquire(SIZE)
    where = arena.offset_of(buffer)
    assert pool.free_bytes == 0
    del buffer
    assert pool.free_bytes == SIZE
    assert arena.offset_of(pool.acquire(SIZE)) == where
    assert pool.free_bytes == SIZE, "the one just now is idle again"


def test_a_buffer_that_somebody_looks_at_is_not_used_again() -> None:
    pool, _ = a_pool()
    buffer = pool.acquire(SIZE)
    buffer[:4] = b"mine"
    view = memoryview(buffer)[:4].toreadonly()
    del buffer
    assert pool.free_bytes == 0
    other = pool.acquire(SIZE)
    other[:4] = b"ours"
    assert bytes(view) == b"mine"
    del view
    assert pool.free_bytes == SIZE


def test_the_last_view_may_die_in_another_thread() -> None:
    pool, _ = a_pool()
    views = [pool.acquire(STEP_BYTES) for _ in range(100)]
    thread = threading.Thread(target=views.clear)
    thread.start()
    thread.join()
    assert pool.free_bytes == 100 * STEP_BYTES


@pytest.mark.parametrize("asked", [1, STEP_BYTES - 1, STEP_BYTES, MIB, MIB + 1, SIZE])
def test_a_buffer_is_as_long_as_its_room(asked: int) -> None:
    pool, arena = a_pool()
    buffer = pool.acquire(asked)
    assert len(buffer) == buffer_bytes(asked) >= asked
    assert (arena.offset_of(buffer) is not None) == (asked >= STEP_BYTES)
    assert buffer_bytes(asked) - asked < STEP_BYTES


def test_small_buffers_are_not_kept() -> None:
    pool, _ = a_pool()
    pool.acquire(STEP_BYTES - 1)
    assert pool.free_bytes == 0


def resident_bytes(arena: Arena) -> int:
    return os.fstat(arena.fd).st_blocks * 512


def test_idle_buffers_are_given_back_to_the_system() -> None:
    pool, arena = a_pool()
    taken = [pool.acquire(size) for size in (MIB, 8 * MIB, 2 * MIB, MIB)]
    for buffer in taken:
        buffer[:] = b"x" * len(buffer)
    last = taken.pop()
    taken.clear()
    del buffer
    assert pool.free_bytes == 11 * MIB
    pool.shrink(4 * MIB + 5)  # in whole pages
    assert pool.free_bytes == 4 * MIB
    if arena.fd >= 0:
        assert resident_bytes(arena) == 5 * MIB
    assert bytes(last) == b"x" * MIB
    pool.shrink(0)
    pool.shrink(-1)
    assert pool.free_bytes == 0
    assert bytes(last) == b"x" * MIB
    assert pool.acquire(8 * MIB)[0] == 0, "new pages"


def test_buffers_for_the_disk_are_not_shared_and_count_too() -> None:
    pool, arena = a_pool()
    for_disk, other = pool.acquire(MIB, for_disk=True), pool.acquire(2 * MIB)
    assert len(for_disk) == MIB
    assert arena.offset_of(for_disk) is None
    assert arena.offset_of(other) is not None
    for_disk[:] = other[:MIB]
    del for_disk
    assert pool.free_bytes == MIB
    del other
    assert pool.free_bytes == 3 * MIB
    pool.shrink(2 * MIB)
    assert (pool.free_bytes, arena.idle_bytes) == (2 * MIB, 2 * MIB)
    pool.shrink(MIB)
    assert pool.free_bytes == MIB


def test_where_no_stretch_is_long_enough_it_is_memory_of_our_own() -> None:
    pool, arena = a_pool(MIB)
    buffer = pool.acquire(2 * MIB)
    assert len(buffer) == 2 * MIB
    assert arena.offset_of(buffer) is None
    assert len(BufferPool(None).acquire(2 * MIB)) == 2 * MIB


def test_a_view_is_found_in_the_arena_and_only_there() -> None:
    arena = Arena(4 * MIB)
    first, second = arena.allocate_space(MIB), arena.allocate_space(MIB)
    assert first is not None
    assert second is not None
    assert arena.offset_of(first) == 0
    assert arena.offset_of(second[5:]) == MIB + 5
    assert arena.offset_of(memoryview(bytearray(5))) is None
    assert arena.offset_of(second[:0]) is None


def test_what_is_written_through_the_descriptor_is_seen(tmp_path: Path) -> None:
    arena = Arena(4 * MIB)
    if arena.fd < 0:
        return
    piece = arena.allocate_space(MIB)
    assert piece is not None
    other = mmap.mmap(arena.fd, 4 * MIB)
    other[10:14] = b"over"
    assert bytes(piece[10:14]) == b"over"


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 20)), max_size=60))
def test_spaces_give_out_nothing_twice_and_lose_nothing(steps: list[tuple[bool, int]]) -> None:
    size = 64
    spaces, taken = FreeList(size), []
    for takes, number in steps:
        if takes:
            start = spaces.allocate(number)
            if start is not None:
                taken.append((start, start + number))
        elif taken:
            spaces.free(*taken.pop(number % len(taken)))
        held = [n for start, stop in taken for n in range(start, stop)]
        assert len(held) == len(set(held))
        assert spaces.total == size - len(held)
    for start, stop in taken:
        spaces.free(start, stop)
    assert spaces.allocate_last(size) == (0, size)
    assert spaces.total == 0
