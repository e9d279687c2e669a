"""A whole upload with any faults, kills and a second writer: exactly one version of ours, in sight,
and nothing of theirs lost."""

from __future__ import annotations

from functools import partial

import trio
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dmfs.write.records import Base, NewVersion
from tests.write.upload.model import Item
from tests.write.upload.rig import BASE, DRAFT, OURS, PLACE, Killed, Rig, new_item, play
from tests.write.upload.test_faults import CALLS, FAULTS, OF_PUT, the_fault

NEWER = b"newer" * 50
NOT_FOR_A_PERSON = sorted({"401", "429", "500", "lost before", "lost after", "late", "stall",
                           "garbage", "409-busy", "403-lock", "offline"})  # fmt: skip
"""What passes; the rest is for a person, who is told."""
_fault = st.one_of(
    st.tuples(st.sampled_from([each for each in CALLS if each != "put"]),
              st.sampled_from(sorted(FAULTS))),
    st.tuples(st.just("put"), st.sampled_from(sorted(OF_PUT))),
    st.tuples(st.sampled_from(["new_version", "new_item", "tip", "complete", "list"]),
              st.sampled_from(NOT_FOR_A_PERSON)),
)  # fmt: skip
_writer = st.tuples(st.integers(1, 25), st.sampled_from(["write", "write", "lock", "delete"]))


@given(
    version=st.booleans(),
    faults=st.lists(_fault, max_size=6),
    kills=st.sets(st.integers(1, 60), max_size=4),
    writer=st.lists(_writer, max_size=3),
    other_id=st.booleans(),
    lag_s=st.sampled_from([0.0, 0.0, 20.0]),
)
@example(
    version=True, faults=[("new_version", "late")], kills={40}, writer=[(8, "write")],
    other_id=False, lag_s=0.0,
)  # fmt: skip
@settings(deadline=None, max_examples=150)
def test_exactly_one_version_and_nothing_of_theirs_lost(
    version: bool,
    faults: list[tuple[str, str]],
    kills: set[int],
    writer: list[tuple[int, str]],
    other_id: bool,
    lag_s: float,
) -> None:
    async def scenario(rig: Rig) -> None:
        world = rig.world
        world.other_storage_id, world.list_lag_s = other_id, lag_s
        item = world.add("Plan.dwg", BASE)
        theirs: list[bytes] = [BASE]
        for number, act in writer:
            world.at_call[number].append(partial(_act, rig, item, act, theirs))
        for call, kind in faults:
            world.faults[call].append(the_fault(call, kind))
        rig.kill_after = kills
        target = rig.version_of(item) if version else new_item("New.dwg")
        outcome = await rig.upload(rig.job(target), 12 * 3600.0)
        await trio.sleep(600)
        there = [each.data for each in world.everything()]
        assert set(there) <= {OURS, *theirs}, "never other bytes"
        assert all(each in there for each in theirs), "nothing of theirs is lost"
        assert world.wrongs == []
        if other_id:
            # nobody can tell ours from a twin of it then: at most one goes beside
            assert there.count(OURS) <= 2
        else:
            assert there.count(OURS) <= 1, "never two"
        if outcome is None or outcome.kind == "failed":
            assert rig.states[-1][1], "somebody is told why"
            assert rig.journal.rows or not rig.journal.commits
        else:
            assert OURS in there
            assert rig.posted
            assert rig.journal.rows == {}

    play(scenario)


def _act(rig: Rig, item: Item, act: str, theirs: list[bytes]) -> None:
    if act == "lock":
        item.reserved_by = "Eve"
        rig.world.nursery.start_soon(_unlock, item)
    elif act == "delete":
        item.hidden = True
    elif not item.hidden and item.reserved_by != "Eve":
        data = b"theirs %d" % len(theirs)
        theirs.append(data)
        rig.world.other_writes(item, data)


async def _unlock(item: Item) -> None:
    await trio.sleep(1000)
    item.reserved_by = ""


@given(
    version=st.booleans(),
    faults=st.lists(st.tuples(st.sampled_from(["new_version", "new_item", "complete", "tip"]),
                              st.sampled_from(NOT_FOR_A_PERSON)), max_size=3),
    kill=st.integers(1, 45),
    more=st.sets(st.integers(46, 100), max_size=3),
)  # fmt: skip
@settings(deadline=None, max_examples=100)
def test_a_newer_generation_takes_over_at_any_moment(
    version: bool, faults: list[tuple[str, str]], kill: int, more: set[int]
) -> None:
    """The first may have become a version or not: the second stands on it, never beside it."""

    async def scenario(rig: Rig) -> None:
        world = rig.world
        for call, kind in faults:
            world.faults[call].append(the_fault(call, kind))
        target = rig.version_of(world.add("Plan.dwg", BASE)) if version else new_item()
        rig.kill_after = {kill, *more}
        try:
            async with trio.open_nursery() as nursery:
                uploader = rig.start(nursery)
                uploader.submit(rig.job(target))
                with trio.move_on_after(12 * 3600):
                    await uploader.wait(DRAFT)
                nursery.cancel_scope.cancel()
        except* Killed:
            pass
        if rig.posted:  # its owner knows where it is now
            file = rig.posted[-1][2].file
            target = NewVersion(PLACE, Base.of(file, len(OURS)), "Plan.dwg")
            rig.posted.clear()
        outcome = await rig.upload(rig.job(target, NEWER, 2), 12 * 3600.0)
        await trio.sleep(600)
        assert outcome is not None
        assert outcome.kind == "posted"
        assert world.wrongs == []
        [item] = world.items.values()
        data = [each.data for each in item.versions]
        assert data.count(NEWER) == 1
        assert data.count(OURS) <= 1
        assert data[-1] == NEWER

    play(scenario)
