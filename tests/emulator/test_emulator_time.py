"""How long the emulator makes a client wait: exact, in virtual time."""

from __future__ import annotations

import math

import pytest
import trio
from trio.testing import MockClock

from dmfs.emulator.http.line import STEP_BYTES, Line

from .virtual import VirtualEmulator


@pytest.fixture
def virtual() -> VirtualEmulator:
    return VirtualEmulator()


def test_nothing_waits_by_default(virtual):
    assert virtual.hubs().seconds == 0
    assert virtual.read(0, 1000).seconds == 0


def test_latency_of_each_origin_and_of_a_route(virtual):
    virtual.settings(api_latency_ms=30, cdn_latency_ms=70)
    assert virtual.hubs().seconds == pytest.approx(0.03)
    assert virtual.read(0, 1000).seconds == pytest.approx(0.07)
    virtual.settings(route_latency_ms={"hubs": 200})
    assert virtual.hubs().seconds == pytest.approx(0.2)


def test_bytes_are_paced(virtual):
    virtual.settings(cdn_bytes_per_s=50_000)
    whole = virtual.read(0, 100_000)
    assert (whole.body_bytes, whole.seconds) == (100_000, pytest.approx(2))


def test_a_line_takes_so_many_bytes_a_second(virtual):
    virtual.settings(line_bytes_per_s=50_000)
    whole = virtual.read(0, 100_000)
    assert (whole.body_bytes, whole.seconds) == (100_000, pytest.approx(2))


def test_all_connections_of_a_line_get_the_same_of_it():
    ends: dict[str, float] = {}

    async def carry(line: Line, name: str, count: int) -> None:
        await line.carry(count, 10 * STEP_BYTES)
        ends[name] = trio.current_time()

    async def share() -> None:
        line = Line()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(carry, line, "long", 30 * STEP_BYTES)
            nursery.start_soon(carry, line, "short", 10 * STEP_BYTES)

    trio.run(share, clock=MockClock(autojump_threshold=0))
    assert ends["short"] == pytest.approx(2, abs=0.2), "half of the line"
    assert ends["long"] == pytest.approx(4)


def test_a_drip_is_as_slow_as_ordered(virtual):
    virtual.fault("drip", origin="cdn", bytes_per_s=2000)
    part = virtual.read(0, 1000)
    assert (part.body_bytes, part.seconds) == (1000, pytest.approx(0.5))


@pytest.mark.parametrize("kind", ["stall_before_headers", "stall_mid_body"])
def test_a_stall_lasts_as_long_as_ordered_and_then_goes_on(virtual, kind):
    virtual.fault(kind, origin="cdn", seconds=40)
    part = virtual.read(0, 1000)
    assert (part.body_bytes, part.seconds) == (1000, pytest.approx(40))
    assert math.isclose(virtual.read(0, 1000).seconds, 0)
