"""Checksums of a file that grows."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.write.spool import sums
from dmfs.write.spool.sums import Sums


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(sums, "UNIT_BYTES", 16)
    monkeypatch.setattr(sums, "PAGE_UNITS", 3)


def grown(data: bytes, cuts: list[int]) -> Sums:
    found, edges = Sums("draft"), sorted({0, *[each % (len(data) + 1) for each in cuts], len(data)})
    for start, stop in itertools.pairwise(edges):
        found.add(found.more(found.mark, [data[start:stop]]))
    return found


@given(st.binary(min_size=1, max_size=300), st.lists(st.integers(0, 300)), st.data())
def test_any_changed_bit_is_seen_however_the_file_grew(data, cuts, draw):
    found = grown(data, cuts)
    assert found.mark == grown(data, []).mark
    assert found.are_right(0, memoryview(data), found.mark)
    where = draw.draw(st.integers(0, len(data) - 1))
    wrong = bytearray(data)
    wrong[where] ^= 1 << draw.draw(st.integers(0, 7))
    assert not found.are_right(0, memoryview(wrong), found.mark)
    unit = where // 16 * 16
    assert not found.are_right(unit, memoryview(wrong)[unit : unit + 16], found.mark)


@given(st.binary(min_size=33, max_size=200))
def test_bytes_of_another_place_or_another_file_are_wrong(data):
    found = grown(data + data, [])
    assert found.are_right(16, memoryview(data)[16:32], found.mark)
    assert not found.are_right(0, memoryview(data)[16:32], found.mark) or data[:16] == data[16:32]
    other = Sums("other")
    other.add(other.more(other.mark, [data + data]))
    first = memoryview(data)[:16]
    assert found.are_right(0, first, found.mark)
    assert other.pages(other.mark, 0) != found.pages(found.mark, 0)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), min_size=1))
def test_the_journal_gives_back_what_it_was_given_page_by_page(data, cuts):
    """Each confirmation stores only pages that changed, and all of them together are the file's."""
    found, stored, end = Sums("draft"), {}, 0
    edges = sorted({0, *[each % (len(data) + 1) for each in cuts], len(data)})
    for start, stop in itertools.pairwise(edges):
        found.add(found.more(found.mark, [data[start:stop]]))
        pages = found.pages(found.mark, end)
        assert len(pages) <= (stop - start) // 48 + 2
        stored.update(pages)
        end = stop
    again = Sums("draft")
    again.load(stored, end)
    assert again.mark == found.mark
    assert again.pages(again.mark, 0) == found.pages(found.mark, 0)
    again.add(again.more(again.mark, [b"more"]))
    assert again.mark == grown(data + b"more", []).mark


def test_missing_pages_are_no_checksums():
    found = grown(bytes(range(100)), [])
    pages = found.pages(found.mark, 0)
    del pages[1]
    with pytest.raises(ValueError, match="missing"):
        Sums("draft").load(pages, 100)
