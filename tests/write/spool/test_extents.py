"""The map of a draft against a plain list that says of each byte where it comes from."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.write.spool import extents
from dmfs.write.spool.extents import CHUNK_BYTES, Chunk, ExtentMap, Piece

SIZE = 1000
puts = st.tuples(st.just("put"), st.integers(0, SIZE - 1), st.integers(1, 300))
cuts = st.tuples(st.just("cut"), st.integers(0, SIZE), st.just(0))
freezes = st.tuples(st.just("freeze"), st.just(0), st.just(0))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(extents, "CHUNK_BYTES", 100)


def spelled(pieces: list[Piece]) -> list[tuple[str, int]]:
    """Of each byte: where from."""
    return [
        (each.kind, 0 if each.kind == "hole" else each.position + at)
        for each in pieces
        for at in range(each.length)
    ]


@given(st.integers(0, SIZE), st.lists(st.one_of(puts, puts, cuts, freezes), max_size=40))
def test_every_byte_comes_from_where_it_was_put_last(base_bytes, steps):
    found = ExtentMap(base_bytes)
    model = [("base", at) if at < base_bytes else ("hole", 0) for at in range(SIZE + 300)]
    frozen: list[tuple[ExtentMap, list[tuple[str, int]]]] = []
    end = 0
    for verb, start, length in steps:
        if verb == "put":
            found.put(start, start + length, end)
            model[start : start + length] = [("data", end + at) for at in range(length)]
            end += length
        elif verb == "cut":
            found.cut(start)
            model[start:] = [("hole", 0)] * (len(model) - start)
        else:
            frozen.append((found.freeze(), list(model)))
    for extent_map, expected in [*frozen, (found, model)]:
        assert spelled(extent_map.pieces(0, len(expected))) == expected
        assert spelled(extent_map.pieces(130, 455)) == expected[130:455]
        assert extent_map.data_bytes() == sum(kind == "data" for kind, _ in expected)
        assert extent_map.base_runs(SIZE) == any(kind == "base" for kind, _ in expected[:SIZE])
        assert extent_map.is_whole(SIZE) == all(
            kind == "data" and place == at for at, (kind, place) in enumerate(expected[:SIZE])
        )
        again = {
            number: Chunk.decode(number, chunk.encode(number))
            for number, chunk in extent_map.chunks.items()
        }
        copy = ExtentMap(extent_map.base_bytes, again)
        assert spelled(copy.pieces(0, len(expected))) == expected


@given(st.lists(st.integers(1, 70), min_size=1, max_size=60))
def test_a_stream_is_one_piece(lengths):
    found, at = ExtentMap(), 0
    for length in lengths:
        found.put(at, at + length, at)
        at += length
    assert found.pieces(0, at) == [Piece("data", 0, at, 0)]
    assert all(len(chunk.starts) == 1 for chunk in found.chunks.values())
    assert found.is_whole(at)
    assert not found.is_whole(at + 1)


def test_a_frozen_map_shares_all_but_what_changes_later():
    found = ExtentMap()
    found.put(0, 1000, 0)
    frozen = found.freeze()
    found.put(250, 260, 1000)
    changed = {each for each in frozen.chunks if frozen.chunks[each] is not found.chunks[each]}
    assert changed == {2}


def test_five_tebibytes_of_nothing_are_one_piece():
    found = ExtentMap(10)
    found.put(5 * 2**40 - 3, 5 * 2**40, 0)
    assert [each.kind for each in found.pieces(0, 5 * 2**40)] == ["base", "hole", "data"]


@pytest.mark.parametrize("blob", [b"", b"\1\0\0\0", b"\1\0\0\0" + bytes(16), b"\0\0\0\0x"])
def test_a_blob_of_another_shape_is_refused(blob):
    with pytest.raises(ValueError):
        Chunk.decode(0, blob)


def test_overlapping_extents_are_refused():
    first = Chunk()
    first.put(0, 50, 0)
    blob = bytearray(first.encode(0))
    double = b"\2\0\0\0" + blob[4:8] * 2 + blob[8:12] * 2 + blob[12:20] * 2
    with pytest.raises(ValueError, match="overlap"):
        Chunk.decode(0, double)


def test_a_hundred_thousand_random_pages(monkeypatch):
    monkeypatch.setattr(extents, "CHUNK_BYTES", CHUNK_BYTES)
    found, page, chance = ExtentMap(), 4096, random.Random(1)
    last = {}
    for position in range(100_000):  # a second; quadratic would be minutes
        number = chance.randrange(250_000)
        found.put(number * page, (number + 1) * page, position * page)
        last[number] = position * page
    assert max(len(chunk.starts) for chunk in found.chunks.values()) <= CHUNK_BYTES // page
    for number in chance.sample(sorted(last), 1000):
        (piece,) = found.pieces(number * page, (number + 1) * page)
        assert (piece.kind, piece.position) == ("data", last[number])
