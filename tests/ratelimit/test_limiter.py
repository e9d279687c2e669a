"""Which call goes first, and what a 429 does."""

from __future__ import annotations

import pytest
import trio

from dmfs.errors import BusyError, SpeculationDropped
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.ratelimit.limits import Priority, Rate
from dmfs.ratelimit.priority import RequestPriority, at_priority
from tests.support.helpers import virtual

RATE = Rate(10, 10.0)


@virtual
async def test_who_is_in_more_of_a_hurry_goes_first():
    limiter = RateLimiter({"contents": RATE})
    order: list[str] = []

    async def ask(name: str, priority: RequestPriority) -> None:
        with at_priority(priority):
            await limiter.acquire("contents", name)
        order.append(name)

    for _ in range(10):
        await limiter.acquire("contents", "fill it up")
    late = RequestPriority(Priority.POLL)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, "raised", late)
        for level in reversed(Priority):
            await trio.sleep(0.01)
            nursery.start_soon(ask, level.name, RequestPriority(level))
        await trio.sleep(0.01)
        late.raise_to(Priority.LOOKUP)
    assert set(order[:2]) == {"raised", "LOOKUP"}
    assert order[2:] == ["READ", "WALK", "BULK", "WRITE", "AHEAD", "POLL"]
    assert limiter.counts["contents", "poll"] == 1


@virtual
async def test_a_lookup_never_queues_behind_speculation():
    limiter = RateLimiter({"contents": Rate(100, 60.0)})
    calls = 0

    async def speculate() -> None:
        nonlocal calls
        with at_priority(RequestPriority(Priority.AHEAD)):
            while True:
                await limiter.acquire("contents", "ahead")
                calls += 1

    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(speculate)
        for _ in range(40):
            await trio.sleep(6)
            before = trio.current_time()
            await limiter.acquire("contents", "ls")
            assert trio.current_time() == before
        nursery.cancel_scope.cancel()
    assert calls > 300


@virtual
async def test_speculation_without_a_reason_leaves_the_queue():
    limiter = RateLimiter({"contents": RATE})
    walking = True
    for _ in range(10):
        await limiter.acquire("contents", "fill")

    async def stop() -> None:
        nonlocal walking
        await trio.sleep(0.5)
        walking = False

    async with trio.open_nursery() as nursery:
        nursery.start_soon(stop)
        with (
            at_priority(RequestPriority(Priority.AHEAD, lambda: walking)),
            pytest.raises(SpeculationDropped),
        ):
            await limiter.acquire("contents", "ahead")
    assert trio.current_time() < 3


@virtual
async def test_a_wait_beyond_the_deadline_is_busy_at_once():
    limiter = RateLimiter({"contents": RATE})
    for _ in range(10):
        await limiter.acquire("contents", "fill")
    began = trio.current_time()
    with trio.fail_after(5), pytest.raises(BusyError, match="rate limit"):
        await limiter.acquire("contents", "ls")
    assert trio.current_time() == began


@virtual
async def test_sizes_that_complete_a_listing_do_not_use_up_what_readers_live_on():
    limiter = RateLimiter({"oss": Rate(100, 60.0)})
    waits: list[float] = []

    async def ask(level: Priority | None) -> None:
        began = trio.current_time()
        if level is None:
            await limiter.acquire("sign", "open")
        else:
            with at_priority(RequestPriority(level)):
                await limiter.acquire("sign", "size")
        waits.append(trio.current_time() - began)

    for _ in range(80):
        await ask(Priority.LOOKUP)
    assert max(waits) == 0
    for level in (Priority.LOOKUP, None, Priority.LOOKUP, None):
        await ask(level)
    assert all(2 < wait_s < 4 for wait_s in waits[80:]), "one each three seconds, whoever asks"


@virtual
async def test_what_the_limiter_does_is_counted():
    limiter = RateLimiter({"contents": RATE})
    for _ in range(11):
        await limiter.acquire("contents", "list")
    limiter.back_off("sign", None)
    with at_priority(RequestPriority(Priority.WALK)):
        await limiter.acquire("sign", "open")
    assert limiter.gauges() == {
        "ratelimit.contents.lookup": 11, "ratelimit.contents.waits": 1,
        "ratelimit.sign.back_offs": 1, "ratelimit.sign.waits": 1, "ratelimit.sign.walk": 1,
    }  # fmt: skip
