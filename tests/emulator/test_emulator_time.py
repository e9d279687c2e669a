"""How long the emulator makes a client wait: exact, in virtual time."""

from __future__ import annotations

import math

import pytest

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
