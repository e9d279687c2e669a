"""Blocks at rest: what was written is read, by this process and by others."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dmfs.blocks.store.block_store import DIRECTORY, BlockStore
from dmfs.blocks.store.stored_object import ABSENT, PRESENT, VERIFIED
from dmfs.errors import SetupError
from dmfs.spans import BLOCK_BYTES, Span
from tests.support.helpers import truth
from tests.support.stores import SIZE, A, B, books_balance, data_file, full, get, open_store, put


def test_what_was_put_is_got_by_the_next_process(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    stored = store.attach(A, SIZE)
    assert put(store, stored, Span(1, 3))
    store.close()
    store = open_store(tmp_path)
    stored = store.attach(A, SIZE)
    assert list(stored.states) == [ABSENT, PRESENT, PRESENT, ABSENT]
    assert len(get(store, stored, Span(1, 3))) == 2 * BLOCK_BYTES
    assert list(stored.states) == [ABSENT, VERIFIED, VERIFIED, ABSENT]
    assert get(store, stored) == b""  # a hole is nothing
    assert store.used_bytes() == 2 * BLOCK_BYTES
    store.close()
    assert books_balance(tmp_path) == 2 * BLOCK_BYTES


def test_putting_twice_counts_once(store: BlockStore, tmp_path: Path) -> None:
    stored = store.attach(A, SIZE)
    for blocks in (Span(0, 2), Span(1, 4), Span(0, 4)):
        assert put(store, stored, blocks)
    assert store.used_bytes() == SIZE
    assert len(get(store, stored)) == SIZE
    assert books_balance(tmp_path) == SIZE


def test_two_processes_share_and_refresh(tmp_path: Path) -> None:
    one, two = open_store(tmp_path), open_store(tmp_path)
    first, second = one.attach(A, SIZE), two.attach(A, SIZE)
    assert put(one, first)
    assert list(second.states) == [ABSENT] * 4
    two.refresh(second, Span(0, 4))
    assert list(second.states) == [PRESENT] * 4
    assert len(get(two, second)) == SIZE
    assert put(two, second)  # nothing new, nothing counted
    assert one.used_bytes() == two.used_bytes() == SIZE
    one.close()
    two.close()
    assert books_balance(tmp_path) == SIZE


def test_another_size_for_the_same_object_starts_anew(store: BlockStore, tmp_path: Path) -> None:
    old = full(store, A)
    stored = store.attach(A, SIZE + 1)
    assert list(stored.states) == [ABSENT] * 4
    assert not put(store, old)  # the dead stored takes nothing
    assert put(store, stored)
    assert store.used_bytes() == SIZE + 1
    store.close()
    assert books_balance(tmp_path) == SIZE + 1


def test_peek_gives_only_what_was_verified(store: BlockStore, tmp_path: Path) -> None:
    stored = full(store, A)
    seen = store.peek(stored, Span(100, 200))
    assert seen in (None, truth(100, 200))  # None where the filesystem knows no RWF_NOWAIT
    store.release(stored)
    again = store.attach(A, SIZE)
    assert store.peek(again, Span(100, 200)) is None
    get(store, again, Span(0, 1))
    assert store.peek(again, Span(0, BLOCK_BYTES)) is None  # a stream's read
    assert store.peek(again, Span(BLOCK_BYTES - 5, BLOCK_BYTES + 5)) is None
    os.truncate(data_file(tmp_path), 50)
    assert store.peek(again, Span(0, 100)) is None


def test_sizes_are_remembered(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.remember_size(A, 5)
    store.remember_size(A, 7)
    store.remember_size(B, 0)
    store.close()
    store = open_store(tmp_path)
    assert store.sizes() == {A: 7, B: 0}
    store.close()


def test_the_directory_must_be_ours_and_becomes_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    open_store(tmp_path / "sub").close()
    assert (tmp_path / "sub").stat().st_mode & 0o077 == 0
    assert (tmp_path / "sub" / DIRECTORY).stat().st_mode & 0o077 == 0
    (tmp_path / "file").write_text("")
    with pytest.raises(SetupError) as caught:
        open_store(tmp_path / "file")
    assert "DMFS_CACHE_DIR" in caught.value.hint
