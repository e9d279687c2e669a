"""The planner of series: what is prepared, how far ahead, and what starts nothing."""

from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from dmfs.prefetch.file_series import (
    CURSORS,
    DIRECTORIES,
    FETCH_WINDOW,
    MAX_WINDOW,
    REACH,
    STEPS_BEFORE,
    SeriesPlanner,
)


def prepared(planner: SeriesPlanner, opens: list[int], count: int, name: str = "d") -> list[int]:
    return [ahead for index in opens for ahead in planner.on_read(name, index, count).fetch]


def test_two_neighbours_start_nothing_and_a_third_starts_the_first_window() -> None:
    planner = SeriesPlanner()
    assert prepared(planner, [10, 11], 100) == []
    assert prepared(planner, [12], 100) == list(range(13, 13 + FETCH_WINDOW))
    assert STEPS_BEFORE == 2


def test_a_series_downwards_is_prepared_downwards() -> None:
    planner = SeriesPlanner()
    assert prepared(planner, [99, 98, 97], 100) == list(range(96, 96 - FETCH_WINDOW, -1))


def test_random_opens_start_nothing() -> None:
    order = list(range(0, 10_000, 50))
    random.Random(7).shuffle(order)
    far = [index for index in order if index % 100]
    assert prepared(SeriesPlanner(), far, 10_000) == []


@given(st.integers(3, 400), st.booleans())
def test_a_whole_series_is_prepared_once_and_never_more_than_a_window_ahead(
    count: int, down: bool
) -> None:
    planner = SeriesPlanner()
    order = range(count - 1, -1, -1) if down else range(count)
    signed: list[int] = []
    fetched: list[int] = []
    for read, index in enumerate(order):
        ahead = planner.on_read("d", index, count)
        signed += ahead.sign
        fetched += ahead.fetch
        for positions, window in (
            (ahead.sign, min(max(read // 2, FETCH_WINDOW), MAX_WINDOW)),
            (ahead.fetch, FETCH_WINDOW),
        ):
            assert all(0 <= each < count for each in positions)
            assert all((index - each if down else each - index) <= window for each in positions)
        assert set(fetched) <= set(signed)
    for found in (signed, fetched):
        assert len(found) == len(set(found)), "prepared twice"
        assert set(found) == set(order) - set(list(order)[: STEPS_BEFORE + 1])


@given(st.integers(4, 300), st.integers(3, 299))
def test_what_was_fetched_in_vain_when_a_series_stops_is_at_most_eight_files(
    count: int, stop: int
) -> None:
    planner = SeriesPlanner()
    fetched: set[int] = set()
    read = range(min(stop, count))
    for index in read:
        fetched |= set(planner.on_read("d", index, count).fetch)
    assert len(fetched - set(read)) <= FETCH_WINDOW == 8


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 299)), max_size=200))
def test_any_reads_give_positions_that_exist(reads: list[tuple[int, int]]) -> None:
    planner = SeriesPlanner()
    for directory, index in reads:
        ahead = planner.on_read(str(directory), index, 300)
        assert len(ahead.sign) <= MAX_WINDOW
        assert len(ahead.fetch) <= FETCH_WINDOW + REACH
        assert all(0 <= each < 300 for each in (*ahead.sign, *ahead.fetch))


def test_two_threads_of_one_series_are_one_series() -> None:
    """Swapped neighbours and entries that a pattern leaves out do not end it."""
    planner = SeriesPlanner()
    opens = [0, 2, 1, 3, 5, 4, 8, 7, 9]
    found = prepared(planner, opens, 1000)
    assert found == sorted(set(found))
    assert found[-1] - 9 >= FETCH_WINDOW // 2
    assert max(b - a for a, b in itertools.pairwise(opens)) <= REACH


def test_series_far_apart_in_one_directory_do_not_disturb_each_other() -> None:
    planner = SeriesPlanner()
    found = prepared(planner, [0, 500, 1, 499, 2, 498], 1000)
    assert found == [*range(3, 3 + FETCH_WINDOW), *range(497, 497 - FETCH_WINDOW, -1)]


def test_what_is_remembered_is_bounded() -> None:
    planner = SeriesPlanner()
    for directory in range(DIRECTORIES * 3):
        for index in range(0, 10_000, 100):
            planner.on_read(str(directory), index, 10_000)
    assert len(planner._directories) == DIRECTORIES
    assert all(len(cursors) <= CURSORS for cursors in planner._directories.values())
