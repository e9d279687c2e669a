"""Killed before and after each commit and each call: it goes on from the journal, and exactly one
version comes of it."""

from __future__ import annotations

from collections import Counter

import pytest
import trio

from dmfs import errors
from dmfs.write.records import State
from tests.write.upload.model import Fault
from tests.write.upload.rig import (
    BASE,
    DRAFT,
    OURS,
    THEIRS,
    Rig,
    Snapshot,
    new_item,
    play,
)

SCENES = ("item", "version", "lost", "conflict", "overtaken", "deleted")


def _arrange(rig: Rig, scene: str):
    world = rig.world
    if scene == "item":
        return new_item()
    item = world.add("Plan.dwg", BASE)
    target = rig.version_of(item)
    if scene == "lost":
        lost = Fault("lost", lambda: errors.UnknownOutcomeError("?"), "done")
        world.faults["new_version"] = [lost]
    elif scene == "conflict":
        world.other_writes(item, THEIRS)
    elif scene == "overtaken":
        world.before["new_version"] = [lambda: world.other_writes(item, THEIRS)]
    elif scene == "deleted":
        item.hidden = True
    return target


def _points(scene: str) -> list[tuple[str, int]]:
    """Failpoints of a scene, each with how often it was passed before."""
    found: list[tuple[str, int]] = []

    async def scenario(rig: Rig) -> None:
        await rig.upload(rig.job(_arrange(rig, scene)))
        seen: Counter[str] = Counter()
        for name in rig.points:
            found.append((name, seen[name]))
            seen[name] += 1

    play(scenario)
    return found


POINTS = [(scene, *point) for scene in SCENES for point in sorted(_points(scene))]


@pytest.mark.parametrize(("scene", "name", "before"), POINTS)
def test_exactly_one_version_whatever_died_when(scene: str, name: str, before: int) -> None:
    async def scenario(rig: Rig) -> None:
        job = rig.job(_arrange(rig, scene))
        rig.kill_at = (name, before)
        outcome = await rig.upload(job)
        assert rig.kill_at is None, "it was killed"
        assert outcome is not None
        world = rig.world
        known = name == "close.commit.after"
        assert outcome.kind == ("conflict" if scene == "conflict" and not known else "posted")
        assert world.wrongs == []
        assert rig.journal.rows == {}
        assert rig.posted
        assert max(world.parts_put.values()) == 1 or name.startswith(("put", "part", "urls"))
        assert len(world.with_bytes(OURS)) == 1
        copies = {"overtaken": 2, "conflict": 1}.get(scene, 0)
        assert len(world.with_bytes(THEIRS)) == copies

    play(scenario)


def test_at_least_forty_moments_are_tried() -> None:
    assert len({name for _, name, _ in POINTS}) >= 40


def test_no_part_that_was_accepted_is_sent_again() -> None:
    async def scenario(rig: Rig) -> None:
        data = OURS * 10
        rig.world.delay_s = 1.0
        job = rig.job(new_item(), data)
        outcome = None
        for _ in range(30):
            outcome = await rig.upload(job, 4.5)
            if outcome is not None:
                break
        assert outcome is not None
        assert outcome.kind == "posted"
        assert rig.world.calls["storage"] == 1
        again = sum(rig.world.parts_put.values()) - len(rig.world.parts_put)
        assert again == 0, "cut in flight, they did not arrive"
        assert rig.world.everything()[0].data == data

    play(scenario)


def test_a_newer_generation_stands_on_the_older_one_that_was_in_doubt() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        target = rig.version_of(item)
        rig.kill_at = ("post.call.after", 0)
        newer = rig.job(target, THEIRS, 2)
        outcome = await _two_generations(rig, rig.job(target), newer)
        assert outcome.kind == "posted"
        assert [each.data for each in item.versions] == [BASE, OURS, THEIRS]
        assert [generation for _, generation, _, _ in rig.posted] == [1, 2]

    play(scenario)


def test_a_newer_generation_after_a_post_that_did_not_arrive() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        target = rig.version_of(item)
        rig.kill_at = ("post.call.before", 0)
        outcome = await _two_generations(rig, rig.job(target), rig.job(target, THEIRS, 2))
        assert outcome.kind == "posted"
        assert [each.data for each in item.versions] == [BASE, THEIRS]
        assert trio.current_time() >= 40, "it might have arrived late"

    play(scenario)


def test_the_same_bytes_to_another_name_after_a_post_that_arrived() -> None:
    async def scenario(rig: Rig) -> None:
        rig.kill_at = ("post.call.after", 0)
        outcome = await _two_generations(rig, rig.job(new_item()), rig.job(new_item("Other.dwg")))
        assert outcome.kind == "posted"
        [version] = rig.world.everything()
        assert version.name == "Plan.dwg", "it is there: a rename is what is left to do"
        assert rig.journal.rows == {}
        assert rig.states[-1][0] is State.CLEAN

    play(scenario)


async def _two_generations(rig: Rig, first, second):
    try:
        async with trio.open_nursery() as nursery:
            rig.start(nursery).submit(first)
    except* BaseException:  # noqa: BLE001 - killed
        pass
    outcome = await rig.upload(second)
    assert outcome is not None
    return outcome


def test_rows_that_cannot_be_read_begin_anew() -> None:
    async def scenario(rig: Rig) -> None:
        rig.journal.rows[DRAFT] = {"step": "nonsense"}
        outcome = await rig.upload(rig.job(new_item()))
        assert outcome is not None
        assert outcome.kind == "posted"

    play(scenario)


def test_what_was_accepted_is_hashed_and_not_read_twice_in_one_process() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.faults["complete"] = [Fault("x", lambda: errors.UnreachableError("reset"))] * 2
        job = rig.job(new_item())
        outcome = await rig.upload(job)
        assert outcome is not None
        assert isinstance(job.snapshot, Snapshot)
        assert job.snapshot.read_bytes == len(OURS)

    play(scenario)


@pytest.mark.parametrize("scene", ["item", "lost", "conflict"])
@pytest.mark.parametrize("commit", range(12))
def test_a_journal_that_is_full_for_a_while(scene: str, commit: int) -> None:
    async def scenario(rig: Rig) -> None:
        rig.journal.refused_from, rig.journal.refusals = commit, 4
        outcome = await rig.upload(rig.job(_arrange(rig, scene)))
        assert outcome is not None
        assert outcome.kind == ("conflict" if scene == "conflict" else "posted")
        assert len(rig.world.with_bytes(OURS)) == 1
        assert rig.world.wrongs == []
        assert rig.journal.rows == {}
        if rig.journal.refusals < 4:
            assert "the disk is full" in rig.reasons

    play(scenario)


@pytest.mark.parametrize("hours", [-25, -1, 1, 25])
@pytest.mark.parametrize("scene", ["item", "version", "lost", "overtaken"])
def test_a_clock_that_is_wrong(scene: str, hours: int) -> None:
    async def scenario(rig: Rig) -> None:
        target = _arrange(rig, scene)
        rig.world.faults["put"] = [Fault("lost", lambda: errors.UnreachableError("reset"))]
        rig.kill_at = ("sent.commit.after", 0)
        outcome = await rig.upload(rig.job(target))
        assert outcome is not None
        assert outcome.kind == "posted"
        assert len(rig.world.with_bytes(OURS)) == 1
        assert rig.world.calls["storage"] == 1
        assert trio.current_time() < 100

    play(scenario, clock_off_s=hours * 3600.0)
