"""Uploads go after people, before speculation, and leave readers two thirds of what both need."""

from __future__ import annotations

import itertools

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from dmfs.errors import BusyError
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.ratelimit.limits import PUBLISHED_PER_MIN, SHARED_QUOTA, Priority, Rate
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.ratelimit.write_share import READING_S, WriteShare
from tests.support.helpers import virtual

OSS = {"oss": Rate(90, 60.0)}


async def many(limiter: RateLimiter, route: str, level: Priority, moments: list[float]) -> None:
    while True:
        with at_priority(RequestPriority(level)):
            await limiter.acquire(route, "x")
        moments.append(trio.current_time())
        await trio.sleep(0)


def within_a_minute(moments: list[float]) -> int:
    return max((sum(at <= each < at + 60 for each in moments) for at in moments), default=0)


@virtual
async def test_while_somebody_reads_uploads_take_a_third() -> None:
    limiter = RateLimiter(OSS)
    written: list[float] = []
    read: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(many, limiter, "complete", Priority.WRITE, written)
        for _ in range(30):
            await limiter.acquire("sign", "open")
            read.append(trio.current_time())
            await trio.sleep(6)
        nursery.cancel_scope.cancel()
    assert within_a_minute(written[1:]) <= 30 + 1  # (one may go before the first reader)
    assert len(written) >= 3 * 30 * 60 / 61 - 3
    assert max(b - a for a, b in itertools.pairwise(read)) < 6.5, "no reader waited"


@virtual
async def test_alone_uploads_take_nearly_all_and_wait_for_nobody() -> None:
    limiter = RateLimiter(OSS)
    written: list[float] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(many, limiter, "upload_urls", Priority.WRITE, written)
        await trio.sleep(600)  # (no deadline: it would be refused at once)
        nursery.cancel_scope.cancel()
    assert len(written) >= 0.9 * 10 * 87 * 60 / 61
    assert within_a_minute(written) <= 90


@virtual
async def test_speculation_goes_on_while_uploads_wait_for_their_share() -> None:
    limiter = RateLimiter(OSS)
    written: list[float] = []
    ahead: list[float] = []
    await limiter.acquire("sign", "open")
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(many, limiter, "details", Priority.WRITE, written)
        nursery.start_soon(many, limiter, "sign", Priority.AHEAD, ahead)
        await trio.sleep(READING_S - 1)
        nursery.cancel_scope.cancel()
    assert len(written) == 30
    assert len(ahead) > 30


@virtual
async def test_speculation_never_keeps_uploads_out() -> None:
    limiter = RateLimiter(OSS)
    written: list[float] = []
    ahead: list[float] = []
    async with trio.open_nursery() as nursery:
        for _ in range(6):
            nursery.start_soon(many, limiter, "sign", Priority.AHEAD, ahead)
        await trio.sleep(70)
        ahead.clear()
        nursery.start_soon(many, limiter, "complete", Priority.WRITE, written)
        await trio.sleep(300)
        nursery.cancel_scope.cancel()
    assert len(written) > len(ahead)


@virtual
async def test_a_wait_for_the_share_beyond_the_deadline_is_busy_at_once() -> None:
    limiter = RateLimiter(OSS)
    await limiter.acquire("sign", "open")
    with at_priority(RequestPriority(Priority.WRITE)):
        for _ in range(30):
            await limiter.acquire("complete", "x")
        with trio.fail_after(5), pytest.raises(BusyError):
            await limiter.acquire("complete", "x")


@given(st.lists(st.tuples(st.sampled_from(["read", "write"]), st.integers(0, 9)), max_size=200))
def test_no_minute_of_reading_has_more_than_a_third_of_uploads(steps) -> None:
    """And none waits longer than until the reader has gone, or room is there."""
    share, rate, now = WriteShare(), Rate(12, 60.0), 0.0
    read_at = -1e9
    written: list[float] = []
    for kind, pause_s in steps:
        now += pause_s
        if kind == "read":
            share.seen(Priority.READ, now)
            read_at = now
            continue
        share.seen(Priority.WRITE, now)
        wait_s = share.wait_s(rate, now)
        recent = [at for at in written if at > now - rate.span_s]
        assert (wait_s > 0) == (now < read_at + READING_S and len(recent) >= 4)
        assert wait_s <= READING_S
        if wait_s <= 0:
            share.wrote(now)
            written.append(now)


def test_each_route_of_writing_has_its_quota() -> None:
    assert {route: PUBLISHED_PER_MIN[route] for route in (
        "storage", "new_version", "new_item", "new_folder", "change", "commands")} == {
        "storage": 300, "new_version": 300, "new_item": 50, "new_folder": 50, "change": 50,
        "commands": 300}  # fmt: skip
    assert {
        SHARED_QUOTA[route]
        for route in ("sign", "upload_urls", "complete", "details", "copy_object")
    } == {"oss"}
