"""Block arithmetic and the read planner, by their properties."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmfs.blocks.readahead import (
    DISK_PART_BYTES,
    DISK_WINDOW_BYTES,
    FIRST_WINDOW_BYTES,
    LOOK_BYTES,
    MIN_PART_BYTES,
    PART_BYTES,
    Planner,
)
from dmfs.spans import (
    BLOCK_BYTES,
    EMPTY,
    KIB,
    MAX_WINDOW_BYTES,
    MIB,
    SMALL_FILE_BYTES,
    Span,
    block_count,
    blocks_of,
    bytes_of,
)

READ = 128 * KIB
BIG = 512 * MIB + 1234
# numbers near the edges of blocks, and any others
EDGY = st.builds(
    lambda n, d: max(0, n * BLOCK_BYTES + d), st.integers(0, 2000), st.integers(-2, 2)
) | st.integers(0, 1 << 40)


@given(EDGY, EDGY)
def test_blocks_of_covers_exactly(start: int, length: int) -> None:
    span = Span(start, start + length)
    blocks = blocks_of(span)
    if length == 0:
        assert blocks.length == 0
        return
    assert blocks.start * BLOCK_BYTES <= start < (blocks.start + 1) * BLOCK_BYTES
    assert (blocks.stop - 1) * BLOCK_BYTES < span.stop <= blocks.stop * BLOCK_BYTES


@given(EDGY, st.integers(0, 3000), st.integers(0, 3000))
def test_bytes_of_is_the_inverse_clipped_to_the_object(size: int, first: int, count: int) -> None:
    span = bytes_of(Span(first, first + count), size)
    assert 0 <= span.start <= span.stop <= size
    every = [bytes_of(Span(n, n + 1), size) for n in range(first, first + count)]
    assert sum(each.length for each in every) == span.length
    for one, two in itertools.pairwise(every):
        assert one.stop == two.start
    if span.length:
        blocks = blocks_of(span)
        assert blocks.start == first
        assert blocks.stop == min(first + count, block_count(size))


@given(st.integers(0, 1 << 40))
def test_block_count(size: int) -> None:
    assert block_count(size) == blocks_of(Span(0, size)).length
    assert bytes_of(Span(0, block_count(size)), size) == (0, size)


class Extent:
    """A planner with what a reader remembers: all that was asked for, and what was accepted."""

    def __init__(
        self, size: int, max_window: int = MAX_WINDOW_BYTES, at_rest: Span = EMPTY
    ) -> None:
        self.size = size
        self.planner = Planner(
            size, max_window, lambda offset: at_rest.start <= offset < at_rest.stop
        )
        self.max_window = max_window
        self.fetched: set[int] = set()
        """Blocks asked for, by demand or ahead."""

    def read(
        self, offset: int, length: int, *, ready: bool | None = None, until: int = 0
    ) -> tuple[Span, Span]:
        """A read, all of whose ``ahead`` is accepted; ready if it was asked for before."""
        clipped = self.planner.clip(offset, length)
        if ready is None:
            ready = all(n in self.fetched for n in range(*blocks_of(clipped)))
        plan = self.planner.on_read(offset, length, ready=ready, until=until)
        assert plan.demand == clipped
        assert 0 <= plan.ahead.start <= plan.ahead.stop <= self.size
        assert plan.ahead.length <= max(self.max_window, SMALL_FILE_BYTES)
        longest = SMALL_FILE_BYTES if self.size <= SMALL_FILE_BYTES else PART_BYTES
        assert MIN_PART_BYTES <= plan.part_bytes <= longest
        self.fetched |= set(range(*blocks_of(plan.demand))) | set(range(*blocks_of(plan.ahead)))
        self.planner.on_accepted(plan.ahead)
        return plan.demand, plan.ahead


@settings(max_examples=300)
@given(
    size=st.sampled_from([0, 1, SMALL_FILE_BYTES, SMALL_FILE_BYTES + 1, BIG]) | st.integers(0, BIG),
    reads=st.lists(st.tuples(EDGY, st.integers(0, 1 << 40), st.booleans()), max_size=30),
    window=st.sampled_from([MIB, 5 * MIB, 64 * MIB, MAX_WINDOW_BYTES]),
    at_rest=st.sampled_from([EMPTY, Span(0, BIG), Span(20 * MIB, 90 * MIB)]),
)
def test_any_reads_give_sane_plans(
    size: int, reads: list[tuple[int, int, bool]], window: int, at_rest: Span
) -> None:
    run = Extent(size, window, at_rest)
    for offset, length, ready in reads:
        run.read(offset, length, ready=ready)


@settings(max_examples=200)
@given(st.data())
def test_any_walk_near_and_far_gives_sane_plans(data: st.DataObject) -> None:
    """Steps rather than places: streams, seeks and swaps in one file."""
    run = Extent(BIG)
    position = data.draw(st.integers(0, BIG))
    for _ in range(40):
        step = data.draw(st.sampled_from([READ, READ, -READ, 4096, -4096, 20 * MIB, -2 * MIB, 0]))
        position = max(0, position + step)
        run.read(position, data.draw(st.sampled_from([READ, 4096, 1, 0])))


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_clip_is_what_exists_of_a_read(offset: int, length: int) -> None:
    span = Planner(1000).clip(offset, length)
    assert span.start == offset
    assert span.stop == max(offset, min(offset + length, 1000))


def swapped(offsets: list[int]) -> Iterator[int]:
    """Two in flight, every other pair out of order."""
    for index in range(0, len(offsets), 2):
        pair = offsets[index : index + 2]
        yield from reversed(pair) if index % 4 else pair


def interleaved(offsets: list[int]) -> Iterator[int]:
    """Two threads, one half of the file each."""
    half = len(offsets) // 2
    for one, two in zip(offsets[:half], offsets[half:], strict=False):
        yield one
        yield two
    yield from offsets[2 * half :]


@pytest.mark.parametrize("order", [list, swapped, interleaved])
@pytest.mark.parametrize("size", [BIG, 64 * MIB, 64 * MIB + 1, SMALL_FILE_BYTES + 1])
@pytest.mark.parametrize("at_rest", [EMPTY, Span(0, BIG), Span(20 * MIB, 50 * MIB)])
def test_a_sequential_read_plans_everything_and_not_far_beyond_its_readers(
    order: object, size: int, at_rest: Span
) -> None:
    run = Extent(size, at_rest=at_rest)
    readers: list[int] = []
    asked_ahead = 0
    for offset in order(list(range(0, size, READ))):  # type: ignore[operator]
        _, ahead = run.read(offset, READ)
        asked_ahead += ahead.length
        readers.append(offset + READ)
        if ahead.length:
            assert ahead.stop <= max(readers[-4:]) + run.max_window
    assert run.fetched == set(range(block_count(size)))
    seam = run.max_window if order is interleaved else 0  # where one stream runs into the other
    assert asked_ahead <= size + seam  # nothing ahead twice


@pytest.mark.parametrize("size", [BIG, 100 * MIB])
def test_ahead_never_asks_again_for_what_was_accepted(size: int) -> None:
    run = Extent(size)
    accepted = 0
    for offset in range(0, size, READ):
        _, ahead = run.read(offset, READ)
        if ahead.length:
            assert ahead.start >= accepted
            accepted = ahead.stop


@pytest.mark.parametrize("read", [READ, 512 * KIB, MIB])
def test_what_is_at_rest_is_read_ahead_in_whole_parts_without_a_stall(read: int) -> None:
    run = Extent(BIG, at_rest=Span(0, BIG))
    aheads: list[Span] = []
    for offset in range(0, BIG, read):
        _, ahead = run.read(offset, read, ready=offset > 0)
        reader = offset + read
        # who reads a stretch and stops has had no more than twice of it read ahead of him
        assert ahead.stop <= reader + max(FIRST_WINDOW_BYTES, min(2 * reader, DISK_WINDOW_BYTES))
        aheads += [ahead] if ahead.length else []
    whole = [ahead for ahead in aheads if ahead.start >= 2 * DISK_PART_BYTES]
    assert all(ahead.start % DISK_PART_BYTES == 0 for ahead in whole)
    assert all(ahead.stop % DISK_PART_BYTES == 0 for ahead in whole[:-1])
    assert len(aheads) <= BIG / DISK_PART_BYTES + 8


def test_where_nothing_is_at_rest_any_more_the_streams_own_window_goes_on() -> None:
    run = Extent(BIG, at_rest=Span(0, 100 * MIB))
    aheads = [run.read(offset, READ, ready=True)[1] for offset in range(0, 120 * MIB, READ)]
    reader = 0
    for ahead in aheads:
        reader += READ
        if ahead.stop > 100 * MIB:  # before the reader is there, but he has not stalled
            assert ahead.stop <= reader + FIRST_WINDOW_BYTES
    assert any(ahead.start <= 100 * MIB < ahead.stop for ahead in aheads)


def test_what_was_not_accepted_is_asked_for_again() -> None:
    planner = Planner(BIG)
    plan = planner.on_read(0, READ, ready=False)
    assert plan.ahead == (READ, 2 * LOOK_BYTES)
    planner.on_accepted(EMPTY)
    assert planner.on_read(READ, READ, ready=False).ahead.start == 2 * READ
    planner.on_accepted(Span(2 * READ, 3 * READ))
    assert planner.on_read(2 * READ, READ, ready=True).ahead.start == 3 * READ


@pytest.mark.parametrize("length", [4 * KIB, 16 * KIB, 64 * KIB])
def test_random_reads_far_apart_plan_nothing_ahead(length: int) -> None:
    dice = random.Random(length)
    run = Extent(50 * 1024 * MIB)
    places = [number * 64 * MIB + dice.randrange(MIB) for number in range(1, 700)]
    dice.shuffle(places)
    aheads = [run.read(place, length)[1].length for place in places]
    assert not any(aheads)


def test_random_reads_after_a_look_at_the_header_plan_nothing_ahead_after_the_first() -> None:
    run = Extent(1024 * MIB)
    assert run.read(0, 4096)[1].length > 0
    dice = random.Random(1)
    places = [dice.randrange(20, 1000) * MIB for _ in range(20)]
    # neighbours within the reach of a stream would be one
    spread = sorted(set(places))
    spread = [place for place, after in itertools.pairwise(spread)
              if after - place > 20 * MIB]  # fmt: skip
    assert not any(run.read(place, 4096)[1].length for place in spread)


def test_random_reads_within_the_reach_of_seeks_soon_get_exactly_what_they_ask_for() -> None:
    run = Extent(BIG)
    dice = random.Random(2)
    position = 0
    aheads = []
    for _ in range(100):
        aheads.append(run.read(position, 4096)[1].length)
        position += dice.randrange(2 * MIB, 12 * MIB)
        position %= BIG - MIB
    assert not any(aheads[5:40])


def test_a_random_reader_that_settles_down_gets_its_window_back() -> None:
    run = Extent(BIG)
    for number in range(10):
        run.read((400 - number * 30) * MIB, 4096)
    start = 200 * MIB
    aheads = [run.read(start + number * READ, READ)[1].length for number in range(64)]
    assert any(aheads[:4])
    assert sum(aheads) > 8 * MIB


def test_backward_reading_plans_backwards() -> None:
    run = Extent(BIG)
    position = BIG
    asked: list[Span] = []
    while position > BIG - 64 * MIB:
        start = position - READ
        demand, ahead = run.read(start, READ)
        if ahead.length:
            assert ahead.stop <= demand.stop
            assert ahead.start < demand.start
            assert not asked or ahead.stop <= asked[-1].start + READ
            asked.append(ahead)
        position = start
    assert len(asked) > 3
    assert sum(span.length for span in asked) >= 60 * MIB


def test_a_window_grows_by_stalls_only_and_not_beyond_its_limit() -> None:
    calm = Planner(BIG)
    furthest = 0
    for offset in range(0, 64 * MIB, READ):
        plan = calm.on_read(offset, READ, ready=True)
        calm.on_accepted(plan.ahead)
        furthest = max(furthest, plan.ahead.stop - offset - READ)
    assert furthest <= FIRST_WINDOW_BYTES
    stalling = Planner(BIG, max_window_bytes=32 * MIB)
    furthest = 0
    for offset in range(0, 256 * MIB, READ):
        plan = stalling.on_read(offset, READ, ready=False)
        stalling.on_accepted(plan.ahead)
        furthest = max(furthest, plan.ahead.stop - offset - READ)
    assert 24 * MIB <= furthest <= 32 * MIB


@pytest.mark.parametrize("size", [1, 5000, BLOCK_BYTES, SMALL_FILE_BYTES])
def test_a_small_file_is_planned_whole_once(size: int) -> None:
    planner = Planner(size)
    plan = planner.on_read(size // 2, 10, ready=False)
    assert plan.ahead == (0, size)
    assert planner.on_read(0, 10, ready=True).ahead == EMPTY


def test_two_streams_in_one_file_keep_their_windows() -> None:
    """A header re-read and a body: neither takes the other's window away."""
    run = Extent(BIG)
    for offset in range(0, 32 * MIB, READ):
        run.read(offset, READ)
    for offset in range(300 * MIB, 332 * MIB, READ):
        run.read(offset, READ)
        if offset % MIB == 0:
            run.read(32 * MIB + offset - 300 * MIB, READ)
    before = len(run.fetched)
    run.read(332 * MIB, READ)
    assert len(run.fetched) - before <= PART_BYTES * 2 // BLOCK_BYTES
    assert 332 * MIB // BLOCK_BYTES in run.fetched


def test_a_stream_asks_for_whole_parts_whenever_it_is_refused() -> None:
    """Slower than its network, it finds no room at any moment; what it asks for next is whole."""
    size = 1000 * MIB + 77
    planner, dice = Planner(size), random.Random(5)
    edges = []
    for offset in range(0, size, 4 * BLOCK_BYTES):
        plan = planner.on_read(offset, 4 * BLOCK_BYTES, ready=dice.random() < 0.9)
        if plan.ahead.length and plan.part_bytes == PART_BYTES:
            taken = dice.randrange(plan.ahead.length // PART_BYTES + 1) * PART_BYTES
            stop = min(plan.ahead.start - plan.ahead.start % PART_BYTES + taken, plan.ahead.stop)
            edges.append(plan.ahead)
            planner.on_accepted(Span(plan.ahead.start, max(stop, plan.ahead.start)))
        else:
            planner.on_accepted(plan.ahead)
    assert len(edges) > 50
    assert all(span.stop % PART_BYTES == 0 or span.stop == size for span in edges)
    behind = [span for span in edges[1:] if span.start % PART_BYTES]
    assert len(behind) <= 1, "the reader caught up with it at most at the start"
