"""Many bytes into a file: in their order, in steps, whatever a disk takes at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.write.spool import disk
from dmfs.write.spool.disk import STEP_BYTES, VECTOR, write_all

pwritev = os.pwritev


@given(
    st.lists(st.integers(0, 40), max_size=30), st.integers(1, 50), st.integers(1, 4),
    st.integers(1, 60),
)  # fmt: skip
def test_all_of_it_in_steps(lengths: list[int], step: int, vector: int, takes: int) -> None:
    parts = [bytes([number % 251 + 1]) * length for number, length in enumerate(lengths)]
    calls: list[int] = []

    def some(fd: int, views: Sequence[memoryview], position: int) -> int:
        joined = b"".join(views)
        assert len(joined) <= step
        assert len(views) <= vector
        calls.append(len(joined))
        return os.pwrite(fd, joined[:takes], position)

    descriptor = os.memfd_create("file")
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(disk, "STEP_BYTES", step)
            patch.setattr(disk, "VECTOR", vector)
            patch.setattr(os, "pwritev", some)
            write_all(descriptor, parts, 7)
        assert os.pread(descriptor, 10_000, 7) == b"".join(parts)
        assert 0 not in calls
    finally:
        os.close(descriptor)


def test_small_parts_go_together_and_a_large_one_in_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pages of 2 MiB cost more than the copy."""
    calls: list[tuple[int, int]] = []

    def counted(fd: int, views: Sequence[memoryview], position: int) -> int:
        calls.append((len(views), sum(map(len, views))))
        return pwritev(fd, views, position)

    monkeypatch.setattr(os, "pwritev", counted)
    with (tmp_path / "file").open("wb") as file:
        write_all(file.fileno(), [b"a" * 100] * (VECTOR + 1) + [b"b" * (3 * STEP_BYTES)], 0)
    assert calls[0] == (VECTOR, 100 * VECTOR)
    assert max(size for _, size in calls) == STEP_BYTES
    assert len(calls) == 5
