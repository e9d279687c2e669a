"""The read planner with doors that know how much their programs want at a time."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmfs.blocks.readahead import FIRST_WINDOW_BYTES, SKIPPED_BYTES, Planner
from dmfs.spans import BLOCK_BYTES, KIB, MAX_WINDOW_BYTES, MIB, Span, blocks_of
from tests.blocks.test_readahead import BIG, Extent

STEP = 4 * MIB
"""A door reads a long range in such steps."""


def read_whole(run: Extent, start: int, length: int) -> None:
    """A range as a door reads it that knows its end."""
    stop = min(start + length, run.size)
    for offset in range(start, stop, STEP):
        run.read(offset, min(STEP, stop - offset), until=stop)


def blocks_in(ranges: list[tuple[int, int]]) -> set[int]:
    return {n for start, length in ranges for n in range(*blocks_of(Span(start, start + length)))}


LENGTHS = st.integers(1, 20 * MIB) | st.sampled_from([4096, 50 * KIB, 205 * KIB, MIB, 8 * MIB])
GAPS = st.integers(SKIPPED_BYTES + 1, 30 * MIB)


@settings(max_examples=100)
@given(st.lists(st.tuples(GAPS, LENGTHS), min_size=1, max_size=12), st.randoms())
def test_whole_ranges_here_and_there_cost_their_blocks(
    steps: list[tuple[int, int]], dice: object
) -> None:
    """A few columns of a Parquet file, in whatever order its threads come."""
    ranges, stop = [], 0
    for gap, length in steps:
        ranges.append((stop + gap, length))
        stop += gap + length
    run = Extent(stop + BIG)
    dice.shuffle(ranges)  # type: ignore[attr-defined]
    for each in ranges:
        read_whole(run, *each)
        read_whole(run, *each)  # and once more, from memory
    assert run.fetched == blocks_in(ranges)


@given(st.integers(1, 300 * MIB), st.sampled_from([32 * MIB, MAX_WINDOW_BYTES]))
def test_a_long_range_is_asked_for_at_once_as_far_as_a_window_goes(
    length: int, max_window: int
) -> None:
    run = Extent(BIG, max_window)
    start = 100 * MIB
    demand, ahead = run.read(start, min(length, STEP), until=start + length)
    assert max(demand.stop, ahead.stop) == start + min(length, STEP + max_window)


@settings(max_examples=60)
@given(st.data())
def test_after_a_jump_whole_ranges_cost_twice_what_was_asked_for_at_most(
    data: st.DataObject,
) -> None:
    """Also where they follow one another for a while, and between reads of which nobody knows."""
    run = Extent(BIG)
    run.read(BIG - 4096, 4096)
    ranges, position = [(BIG - 4096, 4096)], 0
    for _ in range(data.draw(st.integers(1, 40))):
        position += data.draw(st.sampled_from([0, 0, 0, -MIB, 40 * KIB, 300 * KIB, 5 * MIB]))
        position = min(max(0, position), BIG - 10 * MIB)
        length = data.draw(st.sampled_from([4096, 50 * KIB, 205 * KIB, MIB, 9 * MIB]))
        if length <= MIB and data.draw(st.booleans()):
            run.read(position, length)
        else:
            read_whole(run, position, length)
        ranges.append((position, length))
        position += length
        assert len(run.fetched) <= 2 * sum(len(blocks_in([each])) for each in ranges)


def test_a_range_that_goes_on_from_another_one_is_a_stream() -> None:
    run = Extent(BIG)
    run.read(BIG - 64 * KIB, 64 * KIB, until=BIG)
    assert run.read(100 * MIB, MIB, until=101 * MIB)[1].length == 0
    assert run.read(101 * MIB, MIB, until=102 * MIB)[1].length > 0


@pytest.mark.parametrize("length", [128 * KIB, 300 * KIB, MIB, 20 * MIB])
def test_who_reads_whole_ranges_from_the_top_is_planned_as_ever(length: int) -> None:
    told, untold = Planner(BIG), Planner(BIG)
    for start in range(0, 100 * MIB, length):
        for offset in range(start, start + length, STEP):
            part = min(STEP, start + length - offset)
            plan = told.on_read(offset, part, ready=False, until=start + length)
            assert plan == untold.on_read(offset, part, ready=False)
            told.on_accepted(plan.ahead)
            untold.on_accepted(plan.ahead)
    assert plan.ahead.length > FIRST_WINDOW_BYTES


@pytest.mark.parametrize(("chunk", "most"), [(205 * KIB, 1.65), (820 * KIB, 1.2), (8 * MIB, 1.02)])
def test_three_of_twenty_columns(chunk: int, most: float) -> None:
    """Of a Parquet file, row group by row group; what is over are the blocks at the edges. Where
    the door did not know, the small chunks cost three times their bytes."""
    groups = 64 * MIB // (20 * chunk) + 1
    run = Extent(20 * chunk * groups + 60 * KIB)
    read_whole(run, run.size - 64 * KIB, 64 * KIB)
    ranges = [((20 * group + n) * chunk + 4, chunk) for group in range(groups) for n in (3, 9, 15)]
    for each in ranges:
        read_whole(run, *each)
    assert len(run.fetched) * BLOCK_BYTES <= most * 3 * groups * chunk + 2 * BLOCK_BYTES


def test_a_member_of_a_zip_after_its_header_is_one_range() -> None:
    run = Extent(60 * MIB)
    run.read(60 * MIB - 8 * KIB, 8 * KIB)
    run.read(20 * MIB + 7, 100 * KIB)  # the header, to the end of its block
    read_whole(run, 20 * MIB + 60, 1536 * KIB)
    assert run.fetched == blocks_in([(60 * MIB - 8 * KIB, 8 * KIB), (20 * MIB, 1536 * KIB + 60)])


def test_members_with_little_between_are_a_stream() -> None:
    """As of a tar: 100 KiB, and a header of 1 KiB."""
    run = Extent(BIG)
    run.read(BIG - 4096, 4096)
    waits = 0
    for number in range(100):
        start = 100 * MIB + number * 101 * KIB
        before = len(run.fetched)
        _, ahead = run.read(start, 100 * KIB, until=start + 100 * KIB)
        waits += len(run.fetched) - before > blocks_of(ahead).length
    assert waits <= 10
