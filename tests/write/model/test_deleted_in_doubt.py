"""A file is deleted while nobody knows whether its POST worked, and then the process is killed:
what the POST made goes as well, and nothing is left of it here."""

from __future__ import annotations

import os
from typing import Any

import pytest
import trio

from dmfs.write import opening
from tests.write.model.machine import fast, until
from tests.write.model.test_conflicts import shows_all

OLD, OURS, MORE = b"old " * 50, b"ours " * 60, b"more " * 70
F, G = "Plan.dwg", "Elevation.dwg"
LOST: dict[str, dict[str, Any]] = {
    "effect, no answer": {"kind": "reset_before_headers"},
    "late effect": {"kind": "late_effect", "seconds": 0.5},
    "no effect": {"kind": "reset_before_effect"},
}


async def in_doubt(machine) -> None:
    """Wait until an answer was lost."""
    uploader = machine.writing.settler.orders.uploader
    await until(lambda: any(work.row.in_doubt for work in uploader._works.values()))


async def nothing_is_left(machine, place) -> None:
    await machine.comes_to_rest(25)
    await shows_all(machine, place, {})
    await until(lambda: not place.live())
    await until(lambda: not machine.drafts_journalled(), why=machine.drafts_journalled)
    assert machine.writing.drafts.by_id == {}


@pytest.fixture(autouse=True)
def killed(monkeypatch):
    """Nothing is waited for at the end: the journal is as after a kill."""
    monkeypatch.setattr(opening, "FINISH_S", 0.0)


CASES = [
    (lost, old, deleted)
    for lost in LOST
    for old in (b"", OLD)
    for deleted in ("before the kill", "after it")
]
SOME = [("effect, no answer", b"", "after it"), ("late effect", OLD, "before the kill")]
FULL = os.environ.get("DMFS_WRITE_KILLS", "") == "full"


@pytest.mark.parametrize(("lost", "old", "deleted"), CASES if FULL else SOME)
@fast
async def test_what_the_lost_post_made_is_deleted(machine, place, lost, old, deleted):
    if old:
        place.add(F, old)
    route = "versions_post" if old else "items_post"
    async with machine.on():
        machine.emulator.fault(**LOST[lost], route=route, times=1)
        await machine.names(place.path)
        # the look after it takes longer than it takes to see that there is one
        machine.emulator.settings(route_latency_ms={"contents": 200, "item": 200})
        await machine.save(f"{place.path}/{F}", OURS)
        await in_doubt(machine)
        machine.emulator.settings(route_latency_ms={})
        if deleted == "before the kill":
            await machine.unlink(f"{place.path}/{F}")
            assert await machine.names(place.path) == []
    async with machine.on():
        if deleted == "after it":
            await machine.unlink(f"{place.path}/{F}")

        async def is_gone():
            return await machine.names(place.path) == []

        # what the POST made may be listed by now: it is seen until it is found to be ours
        await until(is_gone)
        await nothing_is_left(machine, place)
        await trio.sleep(10.0)
        assert place.live() == {}
    async with machine.on():
        await nothing_is_left(machine, place)
    assert place.storages(OURS) <= 1
    assert machine.emulator.violations() == {}


@fast
async def test_its_name_is_given_when_it_is_known_what_came_of_it(machine, place):
    """Else our own version would look like somebody else's file of that name."""
    place.add(G, OLD)
    async with machine.on():
        await machine.names(place.path)
        machine.emulator.fault(**LOST["late effect"], route="items_post", times=1)
        await machine.save(f"{place.path}/{F}", OURS)
        await in_doubt(machine)
        await machine.unlink(f"{place.path}/{F}")
        await machine.rename(f"{place.path}/{G}", f"{place.path}/{F}")
        await machine.comes_to_rest(25)
        await shows_all(machine, place, {F: OLD})
        assert not machine.heard("conflict")
    assert place.has_all({F: OLD})


@fast
async def test_a_later_save_of_it_is_a_file_of_its_own(machine, place):
    async with machine.on():
        machine.emulator.fault(**LOST["late effect"], route="items_post", times=1)
        await machine.save(f"{place.path}/{F}", OURS)
        await in_doubt(machine)
        await machine.unlink(f"{place.path}/{F}")
        await machine.save(f"{place.path}/{F}", MORE)
    async with machine.on():
        await machine.comes_to_rest(25)
        await shows_all(machine, place, {F: MORE})
        assert not machine.heard("conflict")
    assert place.has_all({F: MORE})
    assert place.storages(OURS) == place.storages(MORE) == 1
