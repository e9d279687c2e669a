"""A buffer is used again only when nobody can see it any more, and idle ones count."""

from __future__ import annotations

import mmap

import pytest

from dmfs.buffers import STEP_BYTES, BufferPool, room_for

MIB = 1024 * 1024
SIZE = 8 * MIB


def test_a_buffer_given_back_is_taken_again() -> None:
    pool = BufferPool()
    buffer = pool.take(SIZE)
    number = id(buffer)
    pool.give(buffer)
    assert pool.free_bytes == SIZE
    del buffer
    assert id(pool.take(SIZE)) == number
    assert pool.free_bytes == 0


def test_a_buffer_that_somebody_looks_at_is_not_used_again() -> None:
    pool = BufferPool()
    buffer = pool.take(SIZE)
    buffer[:4] = b"mine"
    view = memoryview(buffer)[:4].toreadonly()
    pool.give(buffer)
    assert pool.free_bytes == 0
    other = pool.take(SIZE)
    other[:4] = b"ours"
    assert bytes(view) == b"mine"
    assert len(buffer) == SIZE


@pytest.mark.parametrize("asked", [1, STEP_BYTES - 1, STEP_BYTES, MIB, MIB + 1, SIZE])
def test_a_buffer_is_as_long_as_its_room(asked: int) -> None:
    buffer = BufferPool().take(asked)
    assert len(buffer) == room_for(asked) >= asked
    assert isinstance(buffer, mmap.mmap) == (asked >= STEP_BYTES)
    assert room_for(asked) - asked < STEP_BYTES


def test_small_buffers_are_not_kept() -> None:
    pool = BufferPool()
    pool.give(pool.take(STEP_BYTES - 1))
    assert pool.free_bytes == 0


def test_idle_buffers_are_given_back_to_the_system() -> None:
    pool = BufferPool()
    taken = [pool.take(size) for size in (MIB, 8 * MIB, 2 * MIB, MIB)]
    for buffer in taken:
        pool.give(buffer)
    pool.shrink(4 * MIB)
    assert pool.free_bytes == 4 * MIB
    with pytest.raises(ValueError, match="closed"):
        len(taken[1])  # the largest first
    assert len(pool.take(2 * MIB)) == 2 * MIB
    pool.shrink(0)
    assert pool.free_bytes == 0
