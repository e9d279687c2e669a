"""How many bytes keep a link busy, and that windows grow as far as that and no further."""

from __future__ import annotations

import math

import pytest

from dmfs.blocks.readahead import BDP_FACTOR, PART_BYTES, Planner
from dmfs.fetch.link_stats import RATES, BandwidthDelay
from dmfs.spans import BLOCK_BYTES, MAX_WINDOW_BYTES, MIB
from tests.bench.growth import Way, trace_of

READS = 4096
"""Of 128 KiB."""


def test_nothing_is_known_at_first() -> None:
    delivery = BandwidthDelay()
    assert delivery.bdp_bytes == math.inf
    mark = delivery.requested(0.0)
    delivery.arrived(mark, BLOCK_BYTES, 0.03)  # it tells of latency alone
    assert delivery.bdp_bytes == math.inf


def test_ranges_one_after_the_other_are_what_is_under_way() -> None:
    delivery = BandwidthDelay()
    for number in range(3):
        delivery.arrived(delivery.requested(float(number)), PART_BYTES, number + 0.5)
    assert delivery.bdp_bytes == PART_BYTES


def test_ranges_side_by_side_count_together() -> None:
    delivery = BandwidthDelay()
    for round_s in (0.0, 0.5, 1.0, 1.5):
        marks = [delivery.requested(round_s) for _ in range(8)]
        for mark in marks:
            delivery.arrived(mark, PART_BYTES, round_s + 0.5)
    assert 6 * PART_BYTES <= delivery.bdp_bytes <= 8 * PART_BYTES


def test_ranges_that_wait_for_each_other_count_as_one() -> None:
    delivery = BandwidthDelay()
    delivery.arrived(delivery.requested(0.0), PART_BYTES, 0.01)
    marks = [delivery.requested(1.0) for _ in range(8)]
    for number, mark in enumerate(marks):
        delivery.arrived(mark, PART_BYTES, 1.0 + 0.01 * (number + 1))
    assert delivery.bdp_bytes == pytest.approx(PART_BYTES, rel=0.01)


def test_a_few_that_the_loop_heard_of_late_do_not_count() -> None:
    delivery = BandwidthDelay()
    for number in range(RATES):
        delivery.arrived(delivery.requested(float(number)), PART_BYTES, number + 0.5)
    known = delivery.bdp_bytes
    for number in range(3):  # as if much had come in the time of one
        mark = delivery.requested(100.0 + number)
        for _ in range(200):
            delivery.arrived(delivery.requested(100.0 + number), BLOCK_BYTES, 100.5 + number)
        delivery.arrived(mark, PART_BYTES, 100.5 + number)
    assert delivery.bdp_bytes == known


@pytest.mark.parametrize(
    "way",
    [
        Way(),
        Way(bytes_per_s=800e6),
        Way(latency_s=0.3),
        Way(latency_s=0.3, connection_bytes_per_s=10e6),
        Way(latency_s=0.1, connection_bytes_per_s=100e6, bytes_per_s=1e9),
        Way(latency_s=0.01, connection_bytes_per_s=100e6),
        Way(latency_s=0.03, connection_bytes_per_s=5e6),
    ],
)
def test_a_long_way_is_filled_as_before(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = trace_of("ours", "front", READS, way)
    monkeypatch.setattr("dmfs.blocks.readahead.BDP_FACTOR", math.inf)
    always = trace_of("always", "front", READS, way)
    assert ours.mb_per_s >= 0.96 * always.mb_per_s
    assert max(ours.ahead_mib) == max(always.ahead_mib) > 96


@pytest.mark.parametrize(
    "way",
    [
        Way(bytes_per_s=12e6),
        Way(latency_s=0.001, connection_bytes_per_s=800e6, bytes_per_s=800e6),
        Way(latency_s=0.001, connection_bytes_per_s=2e9, bytes_per_s=1e9),
        Way(latency_s=0.2, connection_bytes_per_s=1e6, bytes_per_s=2e6),
    ],
)
def test_a_full_way_is_not_asked_for_more(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = trace_of("ours", "front", READS, way)
    monkeypatch.setattr("dmfs.blocks.readahead.BDP_FACTOR", math.inf)
    always = trace_of("always", "front", READS, way)
    assert ours.mb_per_s >= 0.99 * always.mb_per_s
    assert max(ours.ahead_mib) <= 40
    assert max(always.ahead_mib) > 96  # or it has shown nothing


def test_a_window_that_a_seek_made_small_may_grow_again() -> None:
    bdp_bytes = 4.0 * MIB
    planner = Planner(1 << 40, bdp_bytes=lambda: bdp_bytes)

    def read(start: int, stop: int) -> int:
        """The furthest that is fetched ahead."""
        furthest = 0
        for offset in range(start, stop, BLOCK_BYTES):
            plan = planner.on_read(offset, BLOCK_BYTES, ready=False)
            planner.on_accepted(plan.ahead)
            furthest = max(furthest, plan.ahead.stop - offset - BLOCK_BYTES)
        return furthest

    limit = 2 * BDP_FACTOR * bdp_bytes
    assert limit / 4 <= read(0, 200 * MIB) <= limit < MAX_WINDOW_BYTES
    read(210 * MIB, 211 * MIB)
    read(220 * MIB, 221 * MIB)  # ...after a stretch of a mebibyte
    assert limit / 4 <= read(221 * MIB, 400 * MIB) <= limit


def test_parts_are_whole_where_the_way_is_full() -> None:
    planner = Planner(1 << 40, bdp_bytes=lambda: 2.0 * MIB)
    parts = [
        planner.on_read(offset, BLOCK_BYTES, ready=False).part_bytes
        for offset in range(0, 100 * MIB, BLOCK_BYTES)
    ]
    assert parts[-1] == PART_BYTES
