"""Who may use a connection: demand first come, first served; speculation what is spare."""

from __future__ import annotations

import random

import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from dmfs.fetch.connection_slots import DEMAND_RESERVE, ConnectionLimiter
from tests.support.helpers import in_virtual_time, virtual


@virtual
async def test_speculation_leaves_the_reserve_and_respects_the_owners_share() -> None:
    slots = ConnectionLimiter(10, 4)
    assert [slots.try_acquire("a") for _ in range(5)] == [True] * 4 + [False]
    assert [slots.try_acquire("b") for _ in range(4)] == [True] * (6 - 4) + [False] * 2
    assert slots.in_use == 10 - DEMAND_RESERVE
    for _ in range(DEMAND_RESERVE):
        await slots.acquire("a")
    assert slots.in_use == 10


@virtual
async def test_waiting_demand_is_served_in_order_and_before_speculation() -> None:
    slots = ConnectionLimiter(1, 1)
    await slots.acquire("x")
    served: list[int] = []

    async def wait(number: int) -> None:
        await slots.acquire(number)
        served.append(number)
        await trio.sleep(1)
        slots.release(number)

    async with trio.open_nursery() as nursery:
        for number in range(5):
            nursery.start_soon(wait, number)
            await trio.sleep(0.01)
        assert not slots.try_acquire("s")
        slots.release("x")
    assert served == [0, 1, 2, 3, 4]
    assert slots.in_use == 0
    assert slots.try_acquire("s")


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 2**32))
def test_no_slot_is_ever_lost_or_made(seed: int) -> None:
    dice = random.Random(seed)
    total = dice.randrange(1, 8)

    async def body() -> None:
        slots = ConnectionLimiter(total, 3)
        active = 0

        async def one(owner: int) -> None:
            nonlocal active
            with trio.move_on_after(dice.choice([0.5, 100])):
                if dice.random() < 0.4:
                    if not slots.try_acquire(owner):
                        return
                else:
                    await slots.acquire(owner)
                active += 1
                assert active <= total
                try:
                    await trio.sleep(dice.random())
                finally:
                    active -= 1
                    slots.release(owner)

        async with trio.open_nursery() as nursery:
            for number in range(40):
                nursery.start_soon(one, number % 4)
                await trio.sleep(dice.random() / 10)
        assert slots.in_use == 0
        assert slots._used.total() == 0
        assert not slots._waiting

    in_virtual_time(body)
