"""Whose turn it is, with very many uploads, readers, and little memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from dmfs.errors import AccessError, BusyError
from dmfs.write.records import Draft, DraftId, NewItem, Target
from dmfs.write.upload.pace import Budget, NewItems, PartPlaces, Rate, Waiting, choose
from dmfs.write.upload.ports import Rules, UploadJob
from tests.support.helpers import virtual
from tests.write.upload.model import Fault
from tests.write.upload.rig import BASE, DRAFT, OURS, Rig, Snapshot, new_item, no_base, play

RULES = Rules(Path("/nowhere"))


def _job(number: int, target: Target, data: bytes, *, of_base: bool = False) -> UploadJob:
    draft = Draft(DraftId(f"{number:032x}"), target.place, "key", "owner")
    return UploadJob(draft, target, Snapshot(data, of_base=of_base), no_base)


def test_a_thousand_new_files_take_the_twenty_minutes_they_must() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.calls_max = 7000
        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            jobs = [_job(each, new_item(f"{each}.dwg"), b"%d" % each) for each in range(1000)]
            for job in jobs:
                uploader.submit(job)
            await trio.sleep(30)
            waiting = [each for each in uploader.progress() if "50 new files" in each.reason]
            assert len(waiting) == 950
            longest = max(each.next_try_s for each in waiting)
            assert 17 * 60 < longest < 20 * 60, "the last one is told when"
            assert uploader.new_files_s(950) == pytest.approx(longest, abs=60)
            assert uploader.new_files_s(1) == pytest.approx(30, abs=1)
            sent: list[float] = []
            for job in jobs:
                assert (await uploader.wait(job.draft.id)).kind == "posted"
                sent.append(trio.current_time())
            assert uploader.new_files_s(50) == 0, "nothing is under way"
        assert 19 * 60 <= max(sent) <= 20 * 60
        assert len(rig.world.items) == 1000
        times = sorted(item.tip.at_s for item in rig.world.items.values())
        assert all(later - first >= 59.9 for first, later in zip(times, times[50:], strict=False))

    play(scenario)


def test_a_save_does_not_wait_behind_new_files() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            for each in range(300):
                uploader.submit(_job(each, new_item(f"{each}.dwg"), b"%d" % each))
            await trio.sleep(10)
            began = trio.current_time()
            save = _job(1000, rig.version_of(item), OURS)
            uploader.submit(save)
            assert (await uploader.wait(save.draft.id)).kind == "posted"
            assert trio.current_time() - began < 1
            nursery.cancel_scope.cancel()

    play(scenario)


@given(
    st.lists(st.tuples(st.integers(0, 200 << 20), st.booleans(), st.floats(0, 2000)), max_size=30),
    st.lists(st.tuples(st.integers(0, 200 << 20), st.booleans()), max_size=16),
)
def test_small_ones_first_and_nobody_for_ever(
    waiting: list[tuple[int, bool, float]], running: list[tuple[int, bool]]
) -> None:
    now = 2000.0
    those = [
        Waiting(DraftId(str(number)), size, item, since)
        for number, (size, item, since) in enumerate(waiting)
    ]
    under_way = [Waiting(DraftId("r"), size, item, 0.0) for size, item in running]
    chosen = choose(those, under_way, now, RULES)
    able = [
        each
        for each in those
        if not (each.new_item and sum(one.new_item for one in under_way) >= 10)
        and not (
            each.size_bytes > RULES.large_bytes
            and sum(one.size_bytes > RULES.large_bytes for one in under_way) >= 10
        )
    ]
    if not able or len(under_way) >= 16:
        assert chosen is None
        return
    assert chosen in able
    late = [each for each in able if now - each.since >= 600]
    if late:
        assert chosen.since == min(each.since for each in late)
    else:
        assert chosen.size_bytes == min(each.size_bytes for each in able)


@virtual
async def test_a_budget_is_kept_and_first_come_first_served() -> None:
    budget, most, order = Budget(100), 0, []

    async def one(number: int, size: int) -> None:
        nonlocal most
        async with budget.borrow(size):
            order.append(number)
            most = max(most, budget.used)
            await trio.sleep(1)

    async with trio.open_nursery() as nursery:
        for number, size in enumerate([60, 60, 10, 250, 10]):
            nursery.start_soon(one, number, size)
            await trio.sleep(0.01)
        with trio.move_on_after(0.5):
            await budget.take(50)
    assert order[0] == 0
    assert set(order[1:3]) == {1, 2}, "10 does not pass 60"
    assert order[3:] == [3, 4], "250 goes alone"
    assert most == 250
    assert budget.used == 0


@virtual
async def test_what_is_given_to_one_that_has_just_gone_comes_back() -> None:
    budget, scope = Budget(10), trio.CancelScope()

    async def one() -> None:
        with scope:
            await budget.take(5)

    await budget.take(10)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(one)
        await trio.sleep(1)
        scope.cancel()
        budget.give(10)
    assert budget.used == 0
    await budget.take(10)


@virtual
async def test_parts_leave_readers_their_share() -> None:
    reading = True
    places = PartPlaces(replace(RULES, parts_of_all=8, parts_while_reading=2), lambda: reading)
    most = 0

    async def part() -> None:
        nonlocal most
        async with places.place(DRAFT, 8 << 20):
            most = max(most, places.under_way)
            await trio.sleep(5)

    async with trio.open_nursery() as nursery:
        for _ in range(12):
            nursery.start_soon(part)
        await trio.sleep(12)
        assert most == 2
        reading = False
        await trio.sleep(6)
        assert most > 6


@virtual
async def test_one_upload_has_all_places_and_shares_them_with_those_that_come() -> None:
    places = PartPlaces(replace(RULES, parts_of_all=8), lambda: False)
    taken: Counter[str] = Counter()
    shares: list[dict[str, int]] = []

    async def part(draft: str) -> None:
        async with places.place(DraftId(draft), 8 << 20):
            taken[draft] += 1
            shares.append(dict(+taken))
            await trio.sleep(1 + taken.total() / 100)
            taken[draft] -= 1

    async with trio.open_nursery() as nursery:
        for _ in range(40):
            nursery.start_soon(part, "a")
        await trio.sleep(1.055)  # between the ends of two parts: "c" gets no place
        assert {"a": 8} in shares
        with trio.CancelScope() as given_up:  # one that leaves the queue takes nothing with it
            given_up.deadline = trio.current_time() + 0.001
            await part("c")
        for _ in range(40):
            nursery.start_soon(part, "b")
        await trio.sleep(2)
        assert {"a": 4, "b": 4} in shares[-8:]
    assert max(sum(each.values()) for each in shares) == 8
    assert places.under_way == 0
    assert taken.total() == 0


@virtual
async def test_new_items_are_counted_over_a_minute() -> None:
    gate = NewItems(3)
    times = []
    for _ in range(7):
        await gate.pass_one()
        times.append(trio.current_time())
    assert times == [0, 0, 0, 60, 60, 60, 120]
    assert gate.delay_s() == 0
    assert gate.delay_s(2) == 60
    free = NewItems(0)
    for _ in range(100):
        await free.pass_one()
    assert trio.current_time() == 120


@virtual
async def test_the_rate_is_that_of_the_last_moments() -> None:
    rate = Rate()
    for _ in range(20):
        rate.add(100)
        await trio.sleep(1)
    assert 90 <= rate.bytes_s <= 120
    await trio.sleep(20)
    assert rate.bytes_s == 0


def test_memory_is_bounded_by_the_budget() -> None:
    async def scenario(rig: Rig) -> None:
        most = 0
        rig.world.delay_s = 0.5

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, rig.uploader._tools.memory.used)
                await trio.sleep(0.1)

        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            nursery.start_soon(watch)
            jobs = [
                _job(each, new_item(f"{each}.dwg"), OURS * 20, of_base=True) for each in range(12)
            ]
            for job in jobs:
                uploader.submit(job)
            for job in jobs:
                assert (await uploader.wait(job.draft.id)).kind == "posted"
            nursery.cancel_scope.cancel()
        assert 300 < most <= 1000

    play(scenario, memory_bytes=1000)


def test_progress_tells_bytes_and_rate() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.delay_s = 1.0
        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            uploader.submit(rig.job(new_item(), OURS * 40))
            seen = []
            while uploader.progress():
                [progress] = uploader.progress()
                seen.append(progress.done_bytes)
                assert 0 <= progress.done_bytes <= progress.size_bytes == 11_600
                if 0 < progress.done_bytes < 11_600:
                    assert progress.rate > 0
                await trio.sleep(0.5)
        assert seen == sorted(seen)
        assert len(set(seen)) > 5

    play(scenario)


@pytest.mark.parametrize("change", ["same", "folder", "name", "kind"])
def test_a_persons_retry_does_not_send_again_what_arrived(change: str) -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.always["new_item"] = Fault("403", lambda: AccessError("no permission"))
        target: Any = new_item()
        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            uploader.submit(rig.job(target))
            assert (await uploader.wait(DRAFT)).kind == "failed"
            assert uploader.progress() == []
            rig.world.always.clear()
            name = {"name": "Other.dwg", "kind": "Plan.pdf"}.get(change, "Plan.dwg")
            place = replace(target.place, name=name)
            if change == "folder":
                place = replace(place, folder="elsewhere")
            uploader.submit(rig.job(NewItem(place, name)))
            outcome = await uploader.wait(DRAFT)
            assert outcome.kind == "posted"
        [version] = rig.world.everything()
        assert (version.name, version.data) == (name, OURS)
        assert rig.world.calls["storage"] == (2 if change == "kind" else 1)
        assert set(rig.world.parts_put.values()) == {1}

    play(scenario)


def test_large_uploads_that_hang_leave_small_ones_alone() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.faults["put"] = [Fault("stall")] * 8
        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            for number in range(4):
                uploader.submit(_job(number, new_item(f"{number}.dwg"), OURS * 4, of_base=True))
            await trio.sleep(5)
            assert rig.uploader._tools.memory.used == 800
            small = _job(9, new_item("small.dwg"), b"small")
            began = trio.current_time()
            uploader.submit(small)
            assert (await uploader.wait(small.draft.id)).kind == "posted"
            assert trio.current_time() - began < 5
            nursery.cancel_scope.cancel()

    play(scenario, small=50, memory_bytes=800, parts_of_all=8)


def test_a_storage_that_wants_less_gets_less() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.delay_s = 1.0
        rig.world.faults["put"] = [Fault("503", lambda: BusyError("slow down"))] * 2
        most: list[int] = []

        async def watch() -> None:
            while True:
                await trio.sleep(0.5)
                most.append(rig.uploader._tools.places.under_way)

        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            nursery.start_soon(watch)
            uploader.submit(rig.job(new_item(), OURS * 20))
            assert (await uploader.wait(DRAFT)).kind == "posted"
            nursery.cancel_scope.cancel()
        assert max(most) == 16
        assert max(most[8:]) <= 4

    play(scenario)
