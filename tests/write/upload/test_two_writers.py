"""Two machines save the same file at the same time: every byte string that either wrote is a
version somewhere, and what lost the name is in sight."""

from __future__ import annotations

import random

import pytest
import trio

from dmfs.write.records import NewVersion
from tests.write.upload.rig import BASE, PLACE, Rig, new_item, play


class Saves:
    """Of two machines, each on top of what it saw last, as an editor does."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.written: list[bytes] = []
        self.seen: set[bytes] = set()
        """What somebody opened before they saved."""

    async def run(self, rig: Rig, who: str, rounds: int) -> None:
        world = rig.world
        for number in range(rounds):
            [item] = [each for each in world.live() if each.tip.name == "Plan.dwg"]
            target = NewVersion(PLACE, world.base(item), "Plan.dwg")
            self.seen.add(item.tip.data)
            await trio.sleep(self.dice.random() * 2)
            data = f"{who} {number} ".encode() * 30
            self.written.append(data)
            rig.posted.clear()
            outcome = await rig.upload(rig.job(target, data, number + 1), 100_000.0)
            assert outcome is not None
            assert outcome.kind in ("posted", "conflict")


@pytest.mark.parametrize("seed", range(25))
def test_nothing_is_overwritten_unseen(seed: int) -> None:
    async def scenario(one: Rig) -> None:
        saves, world = Saves(seed), one.world
        other = Rig(world.nursery)
        other.world = world
        world.delay_s = saves.dice.choice([0.05, 0.3, 1.0])
        item = world.add("Plan.dwg", BASE)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(saves.run, one, "one", 8)
            nursery.start_soon(saves.run, other, "other", 8)
        there = [each.data for each in world.everything()]
        for data in saves.written:
            assert data in there, "nothing is lost"
        in_sight = {each.tip.data for each in world.live()} | saves.seen
        assert [each.data for each in item.versions if each.data not in in_sight] == []

    play(scenario)


def test_both_make_a_file_of_one_name() -> None:
    async def scenario(one: Rig) -> None:
        other = Rig(one.world.nursery)
        other.world = one.world
        one.world.delay_s = 0.3
        async with trio.open_nursery() as nursery:
            nursery.start_soon(one.upload, one.job(new_item(), b"one"))
            nursery.start_soon(other.upload, other.job(new_item(), b"other"))
        names = {each.tip.name: each.tip.data for each in one.world.live()}
        assert set(names.values()) == {b"one", b"other"}
        assert set(names) == {"Plan.dwg", "Plan (conflict 1).dwg"}

    play(scenario)
