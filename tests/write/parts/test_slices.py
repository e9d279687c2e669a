"""The stream that the pieces of a part make up."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.errors import SpoolError
from dmfs.write.parts.put import Put, PutRequest
from dmfs.write.parts.slices import EndedEarlyError, FileSlice, Slice, Source, Zeros

FILE = bytes(range(1, 251)) * 4


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def whole(source: Source, most: int) -> bytes:
    found = b""
    while some := source.read(most):
        assert len(some) <= most
        found += some
    return found


@pytest.fixture(scope="module")
def descriptor(tmp_path_factory: pytest.TempPathFactory) -> int:
    path = tmp_path_factory.mktemp("slices") / "data"
    path.write_bytes(FILE)
    return os.open(path, os.O_RDONLY)


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.binary(max_size=40).map(bytearray),
        st.binary(max_size=40).map(lambda some: memoryview(some)[:]),
        st.integers(0, 40).map(Zeros),
        st.tuples(st.integers(0, 900), st.integers(0, 100)),
    ),
    max_size=12,
)


@given(PIECES, st.integers(1, 300), st.lists(st.integers(-5, 1300), max_size=3))
def test_the_bytes_are_those_of_the_pieces_from_any_place(pieces, most, places):
    descriptor = os.memfd_create("slices")
    os.write(descriptor, FILE)
    try:
        made: list[Slice] = [
            FileSlice(descriptor, *piece) if isinstance(piece, tuple) else piece for piece in pieces
        ]
        expected = b"".join(
            FILE[piece[0] : piece[0] + piece[1]] if isinstance(piece, tuple)
            else bytes(piece.length) if isinstance(piece, Zeros) else bytes(piece)
            for piece in pieces
        )  # fmt: skip
        source = Source(made)
        assert source.length == len(expected)
        assert whole(source, most) == expected
        for place in places:
            source.seek(place)
            assert whole(source, most) == expected[min(max(place, 0), len(expected)) :]
    finally:
        os.close(descriptor)


def test_a_read_fills_what_it_can_from_many_pieces() -> None:
    source = Source([b"ab", Zeros(3), b"", memoryview(b"cd")])
    assert source.read(100) == b"ab\0\0\0cd"
    assert source.read(100) == b""


def test_zeros_of_any_length_take_no_memory() -> None:
    source = Source([Zeros(1 << 40)])
    assert source.read(1 << 20) == bytes(1 << 20)
    assert source.length == 1 << 40


def test_a_file_that_is_shorter_is_never_padded(descriptor: int) -> None:
    source = Source([FileSlice(descriptor, 990, 20)])
    assert source.read(10) == FILE[990:]
    with pytest.raises(EndedEarlyError):
        source.read(100)


def test_a_put_reads_by_a_descriptor_of_its_own(tmp_path: Path) -> None:
    """Whoever cancels closes theirs, and the number may be another file's then."""
    (tmp_path / "data").write_bytes(FILE)
    theirs = os.open(tmp_path / "data", os.O_RDONLY)
    pieces = [FileSlice(theirs, 0, 5), FileSlice(theirs, 7, 5)]
    request = PutRequest("http://localhost/x", pieces, 10, "save 'a'")
    before = descriptors()
    put = Put(request, lambda _: None, lambda _: None)
    assert descriptors() == before + 1
    os.close(theirs)
    assert put.on_read(100) == FILE[:5] + FILE[7:12]
    put.close()
    put.close()
    assert descriptors() == before - 1


def test_a_spool_that_gives_no_bytes_says_so(tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"short")
    ours = os.open(tmp_path / "data", os.O_RDONLY)
    try:
        request = PutRequest("http://localhost/x", [FileSlice(ours, 0, 9)], 9, "save 'a'")
        put = Put(request, lambda _: None, lambda _: None)
        assert put.on_read(100) is None
        assert isinstance(put.error, SpoolError)
        put.close()
        directory = os.open(tmp_path, os.O_RDONLY)
        request = PutRequest("http://localhost/x", [FileSlice(directory, 0, 9)], 9, "save 'a'")
        put = Put(request, lambda _: None, lambda _: None)
        os.close(directory)
        assert put.on_read(100) is None
        assert isinstance(put.error, SpoolError)
        put.close()
    finally:
        os.close(ours)


def test_pieces_of_another_length_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="length"):
        PutRequest("http://localhost/x", [b"ab"], 3, "save 'a'").check()


def test_no_repr_shows_the_url() -> None:
    request = PutRequest("http://localhost/x?sig=s3cret", [b"bytes"], 5, "save 'a'")
    assert "s3cret" not in repr(request)
    assert "bytes" not in repr(request)
