"""A laptop that slept: noticed, and looked around at once."""

from __future__ import annotations

import itertools

import pytest
import trio

import dmfs.system.suspend
from dmfs.http.circuit_breaker import PROBE_MAX_S, CircuitBreaker
from dmfs.system.suspend import JUMP_S, TICK_S, watch_suspend
from tests.support.helpers import virtual


@virtual
async def test_a_suspension_is_reported_once_and_a_busy_machine_is_none() -> None:
    asleep_s = 0.0
    reported: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dmfs.system.suspend, "boot_time_s", lambda: trio.current_time() + asleep_s)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_suspend, reported.append)
            await trio.sleep(10 * TICK_S + 0.5)
            asleep_s += JUMP_S / 2
            await trio.sleep(10 * TICK_S)
            assert reported == []
            asleep_s += 3600
            await trio.sleep(TICK_S)
            assert reported == [pytest.approx(3600)]
            await trio.sleep(100 * TICK_S)
            nursery.cancel_scope.cancel()
    assert len(reported) == 1


@virtual
async def test_who_wakes_up_offline_looks_at_once() -> None:
    """And not when the next probe is due."""
    breaker, probes, there = CircuitBreaker(), [], False

    async def probe(timeout_s: float) -> bool:
        probes.append(trio.current_time())
        return there

    async with trio.open_nursery() as nursery:
        nursery.start_soon(breaker.watch, probe)
        breaker.failed()
        await trio.sleep(100)
        assert breaker.is_open
        gaps = [b - a for a, b in itertools.pairwise(probes)]
        assert max(gaps) <= PROBE_MAX_S + 0.1
        there = True
        before = trio.current_time()
        breaker.nudge()
        await trio.sleep(0.01)
        assert probes[-1] == before
        assert not breaker.is_open
        nursery.cancel_scope.cancel()
