"""Who goes first, what a 429 does, and that processes of a client id share one account."""

from __future__ import annotations

import pytest
import trio

import dmfs.ratelimit.shared_log
from dmfs.errors import BusyError, SpeculationDropped
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.ratelimit.limits import MARGIN_S, Priority, Rate
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.ratelimit.shared_log import FileRateLog
from tests.support.helpers import real, virtual

RATE = Rate(10, 10.0)


@virtual
async def test_who_is_in_more_of_a_hurry_goes_first():
    budget = RateLimiter({"contents": RATE})
    order: list[str] = []

    async def ask(name: str, asker: RequestPriority) -> None:
        with at_priority(asker):
            await budget.acquire("contents", name)
        order.append(name)

    for _ in range(10):
        await budget.acquire("contents", "fill it up")
    late = RequestPriority(Priority.POLL)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, "raised", late)
        for priority in reversed(Priority):
            await trio.sleep(0.01)
            nursery.start_soon(ask, priority.name, RequestPriority(priority))
        await trio.sleep(0.01)
        late.raise_to(Priority.LOOKUP)
    assert set(order[:2]) == {"raised", "LOOKUP"}
    assert order[2:] == ["READ", "WALK", "AHEAD", "POLL"]
    assert budget.counts["contents", "poll"] == 1


@virtual
async def test_a_lookup_never_queues_behind_speculation():
    budget = RateLimiter({"contents": Rate(100, 60.0)})
    asked = 0

    async def speculate() -> None:
        nonlocal asked
        with at_priority(RequestPriority(Priority.AHEAD)):
            while True:
                await budget.acquire("contents", "ahead")
                asked += 1

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(speculate)
        for _ in range(40):
            await trio.sleep(6)
            before = trio.current_time()
            await budget.acquire("contents", "ls")
            assert trio.current_time() == before
        nursery.cancel_scope.cancel()
    assert asked > 300


@virtual
async def test_speculation_leaves_the_queue_when_nobody_wants_it():
    budget = RateLimiter({"contents": RATE})
    walking = True
    for _ in range(10):
        await budget.acquire("contents", "fill")

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
            await budget.acquire("contents", "ahead")
    assert trio.current_time() < 3


@virtual
async def test_a_wait_beyond_the_deadline_is_busy_at_once():
    budget = RateLimiter({"contents": RATE})
    for _ in range(10):
        await budget.acquire("contents", "fill")
    began = trio.current_time()
    with trio.fail_after(5), pytest.raises(BusyError, match="rate limit"):
        await budget.acquire("contents", "ls")
    assert trio.current_time() == began


@virtual
async def test_sizes_that_complete_a_listing_do_not_use_up_what_readers_live_on():
    budget = RateLimiter({"oss": Rate(100, 60.0)})
    waits: list[float] = []

    async def ask(level: Priority | None) -> None:
        began = trio.current_time()
        if level is None:
            await budget.acquire("sign", "open")
        else:
            with at_priority(RequestPriority(level)):
                await budget.acquire("sign", "size")
        waits.append(trio.current_time() - began)

    for _ in range(80):
        await ask(Priority.LOOKUP)
    assert max(waits) == 0
    for level in (Priority.LOOKUP, None, Priority.LOOKUP, None):
        await ask(level)
    assert all(2 < wait_s < 4 for wait_s in waits[80:]), "one each three seconds, whoever asks"


@real
async def test_two_processes_share_one_account(tmp_path):
    now = 1000.0
    one, two = (FileRateLog(tmp_path, "app", clock=lambda: now) for _ in range(2))
    other = FileRateLog(tmp_path, "another app", clock=lambda: now)
    for number in range(10):
        assert await (one, two)[number % 2].take("contents", RATE, Priority.LOOKUP) == 0
    assert await one.take("contents", RATE, Priority.LOOKUP) == RATE.span_s
    assert await two.take("contents", RATE, Priority.LOOKUP) == RATE.window_s + MARGIN_S
    assert await two.take("hubs", RATE, Priority.LOOKUP) == 0
    assert await other.take("contents", RATE, Priority.LOOKUP) == 0
    now += RATE.span_s + 0.1
    two.hold("contents", 7.0)
    assert await two.take("contents", RATE, Priority.LOOKUP) == pytest.approx(7.0)
    assert await one.take("contents", RATE, Priority.LOOKUP) == pytest.approx(7.0)
    now = 5.0  # a reboot: what is in the future means nothing
    for path in tmp_path.rglob("contents"):
        assert path.stat().st_mode & 0o077 == 0
    assert await one.take("hubs", RATE, Priority.LOOKUP) == 0


@real
async def test_without_a_rate_the_account_is_only_looked_at_for_holds_of_others(
    tmp_path, monkeypatch
):
    now = 1000.0
    one, two = (FileRateLog(tmp_path, "app", clock=lambda: now) for _ in range(2))
    looks: list[str] = []
    look = one._take

    def counted(quota, rate, priority):
        looks.append(quota)
        return look(quota, rate, priority)

    monkeypatch.setattr(one, "_take", counted)
    for _ in range(5):
        assert await one.take("oss", None, Priority.READ) == 0
    assert looks == ["oss"]
    one.hold("oss", 5.0)  # its own counts at once
    assert await one.take("oss", None, Priority.READ) == pytest.approx(5.0)
    assert await one.take("oss", None, Priority.READ) == pytest.approx(5.0)
    now += 6.0
    assert await one.take("oss", None, Priority.READ) == 0
    two.hold("oss", 7.0)
    assert await two.take("oss", None, Priority.READ) == pytest.approx(7.0)
    monkeypatch.setattr(dmfs.ratelimit.shared_log, "LOOK_AGAIN_S", 0.0)
    one._free_until.clear()
    assert await one.take("oss", None, Priority.READ) == pytest.approx(7.0)


@real
async def test_a_damaged_account_is_an_empty_one(tmp_path):
    ledger = FileRateLog(tmp_path, "app")
    assert await ledger.take("contents", RATE, Priority.LOOKUP) == 0
    for junk in (b"", b"x", b"\xff" * 100, b"dmfsbud1" + b"\xff" * 800):
        next(tmp_path.rglob("contents")).write_bytes(junk)
        assert await ledger.take("contents", RATE, Priority.LOOKUP) == 0


@real
async def test_without_its_disk_it_goes_on_alone(tmp_path):
    (tmp_path / "budget").write_text("in the way")
    ledger = FileRateLog(tmp_path, "app")
    for _ in range(10):
        assert await ledger.take("contents", RATE, Priority.LOOKUP) == 0
    assert await ledger.take("contents", RATE, Priority.LOOKUP) > 0
