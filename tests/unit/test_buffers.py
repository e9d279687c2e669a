"""A buffer is used again only when nobody can see it any more."""

from __future__ import annotations

from dmfs.buffers import POOLED_BUFFERS, POOLED_FROM_BYTES, BufferPool

SIZE = 8 * 1024 * 1024


def test_a_buffer_given_back_is_taken_again() -> None:
    pool = BufferPool()
    buffer = pool.take(SIZE)
    number = id(buffer)
    pool.give(buffer)
    del buffer
    assert id(pool.take(SIZE)) == number


def test_a_buffer_that_somebody_looks_at_is_not_used_again() -> None:
    pool = BufferPool()
    buffer = pool.take(SIZE)
    buffer[:4] = b"mine"
    view = memoryview(buffer)[:4].toreadonly()
    pool.give(buffer)
    other = pool.take(SIZE)
    other[:4] = b"ours"
    assert bytes(view) == b"mine"
    assert len(buffer) == SIZE


def test_only_whole_sizes_match_and_little_is_kept() -> None:
    pool = BufferPool()
    pool.give(pool.take(SIZE))
    assert len(pool.take(SIZE // 2)) == SIZE // 2
    pool.give(bytearray(POOLED_FROM_BYTES - 1))
    many = [bytearray(SIZE) for _ in range(POOLED_BUFFERS * 2)]
    for buffer in many:
        pool.give(buffer)
    assert len(pool._free) == POOLED_BUFFERS
    assert all(len(buffer) == SIZE for buffer in pool._free)
