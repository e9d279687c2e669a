"""Somebody else changes the file that we write to: nothing of either is lost."""

from __future__ import annotations

from tests.write.model.machine import BOB, fast, until
from tests.write.model.place import sha256

OLD, OURS, THEIRS = b"old " * 50, b"ours " * 60, b"theirs " * 70
F = "Plan.dwg"


@fast
async def test_a_tip_that_changed_means_a_conflict_copy(machine, place):
    place.add(F, OLD)
    async with machine.on():
        handle = await machine.open(f"{place.path}/{F}", 2)
        await handle.truncate(0)
        await handle.write(0, OURS)
        place.change("new_version", F, text=THEIRS.decode())
        await handle.confirm()
        handle.close()
        await machine.comes_to_rest()
        await until(lambda: len(place.live()) == 2)
        copy = next(name for name in place.live() if name != F)
        assert copy.startswith("Plan (conflict Ada Emulated ")
        assert copy.endswith(").dwg")
        assert place.has_all({F: THEIRS, copy: OURS})
        assert await machine.names(place.path) == sorted([F, copy])
        assert await machine.read(f"{place.path}/{F}") == THEIRS
        assert await machine.read(f"{place.path}/{copy}") == OURS
        state, reason = await machine.state(f"{place.path}/{copy}")
        assert state == "conflict"
        assert F in reason
        assert machine.heard("conflict")
    assert machine.emulator.violations() == {}
