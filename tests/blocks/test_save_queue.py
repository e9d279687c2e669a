"""What is kept of a stream that outruns its disk is chosen by a pure function."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.blocks.extents import Extent
from dmfs.blocks.readahead import PART_BYTES
from dmfs.blocks.save_queue import HEAD_BYTES, TAIL_BYTES, SaveQueue, Worth, worth_of
from dmfs.spans import BLOCK_BYTES, MIB, SMALL_FILE_BYTES, Span

LARGE = 1024 * MIB


def extent(number: int = 0) -> Extent:
    blocks = Span(number, number + 1)
    span = Span(number * BLOCK_BYTES, (number + 1) * BLOCK_BYTES)
    return Extent(blocks, span, speculative=False, from_disk=False)


@pytest.mark.parametrize(
    ("span", "size_bytes", "again", "worth"),
    [
        (Span(0, 2000), 2000, False, Worth.SMALL),
        (Span(0, SMALL_FILE_BYTES), SMALL_FILE_BYTES, False, Worth.SMALL),
        (Span(0, PART_BYTES), LARGE, False, Worth.EDGE),
        (Span(HEAD_BYTES - 1, HEAD_BYTES + PART_BYTES), LARGE, False, Worth.EDGE),
        (Span(HEAD_BYTES, HEAD_BYTES + PART_BYTES), LARGE, False, Worth.MIDDLE),
        (Span(LARGE - TAIL_BYTES - MIB, LARGE - TAIL_BYTES), LARGE, False, Worth.MIDDLE),
        (Span(LARGE - PART_BYTES, LARGE), LARGE, False, Worth.EDGE),
        (Span(500 * MIB, 500 * MIB + BLOCK_BYTES), LARGE, False, Worth.RANDOM),
        (Span(500 * MIB, 500 * MIB + PART_BYTES), LARGE, True, Worth.AGAIN),
    ],
)
def test_middles_of_a_stream_are_worth_least(
    span: Span, size_bytes: int, again: bool, worth: Worth
) -> None:
    assert worth_of(span, size_bytes, again=again) is worth


SAVES = st.lists(st.tuples(st.sampled_from(Worth), st.integers(1, 100), st.booleans()), max_size=30)


@given(saves=SAVES, need=st.integers(0, 3000))
def test_what_is_given_up_is_enough_no_more_than_needed_and_worth_least(
    saves: list[tuple[Worth, int, bool]], need: int
) -> None:
    queue = SaveQueue()
    known: dict[Extent, tuple[Worth, int, bool]] = {}
    for number, save in enumerate(saves):
        each = extent(number)
        known[each] = save
        queue.add(each, save[1], save[0])
    free = {each for each, (_, _, may_go) in known.items() if may_go}
    chosen = queue.victims(need, free.__contains__)
    assert set(chosen) <= free
    size = {each: known[each][1] for each in known}
    found = sum(size[each] for each in chosen)
    if need > 0:
        assert found >= need or set(chosen) == free
        assert not chosen or found - size[chosen[-1]] < need, "the last one was wanted too"
    else:
        assert not chosen
    spared = free - set(chosen)
    if chosen and spared:
        assert max(known[each][0] for each in chosen) <= min(known[each][0] for each in spared)
    for each in chosen:
        assert queue.remove(each)
    assert queue.size_bytes == sum(size.values()) - found
    assert len(queue) == len(known) - len(chosen)


def test_of_the_middles_the_newest_go_first_and_of_others_the_oldest() -> None:
    queue = SaveQueue()
    saves = [extent(number) for number in range(6)]
    for number, each in enumerate(saves):
        queue.add(each, 10, Worth.MIDDLE if number < 3 else Worth.SMALL)
    assert queue.victims(60) == [*reversed(saves[:3]), *saves[3:]]
    assert [each for each, _ in queue.next()] == [*saves[3:], *saves[:3]], "written: best first"


def test_what_is_not_there_is_not_removed() -> None:
    assert not SaveQueue().remove(extent())
