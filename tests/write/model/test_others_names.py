"""Somebody else does something to the names that we rename and delete."""

from __future__ import annotations

from tests.write.model.machine import fast, until
from tests.write.model.test_conflicts import (
    OLD,
    OURS,
    THEIRS,
    F,
    G,
    an_edit,
    copy_in,
    shows_all,
)


@fast
async def test_a_rename_to_a_name_that_another_was_quicker_with(machine, place):
    item = place.add(F, OLD)
    async with machine.on():
        await machine.names(place.path)
        place.add(G, THEIRS)
        await machine.rename(f"{place.path}/{F}", f"{place.path}/{G}")
        await machine.comes_to_rest()
        copy = copy_in(place, G)
        assert place.has_all({G: THEIRS, copy: OLD})
        assert place.item(copy) == item
        assert machine.heard("conflict")
        await shows_all(machine, place, {G: THEIRS, copy: OLD})


@fast
async def test_an_edit_renamed_to_a_name_that_another_was_quicker_with(machine, place):
    item = place.add(F, OLD)
    async with machine.on():
        async with an_edit(machine, place):
            await machine.rename(f"{place.path}/{F}", f"{place.path}/{G}")
            place.add(G, THEIRS)
        await machine.comes_to_rest()
        copy = copy_in(place, G)
        assert place.has_all({G: THEIRS, copy: OURS})
        assert place.item(copy) == item
        assert (await machine.state(f"{place.path}/{copy}"))[0] == "conflict"
        await shows_all(machine, place, {G: THEIRS, copy: OURS})


@fast
async def test_a_file_that_was_renamed_here_and_deleted_there_is_gone(machine, place):
    place.add(F, OLD)
    async with machine.on():
        await machine.names(place.path)
        place.change("hide", F)
        await machine.rename(f"{place.path}/{F}", f"{place.path}/{G}")
        await machine.comes_to_rest()
        await shows_all(machine, place, {})
    assert place.live() == {}


@fast
async def test_a_newer_generation_is_not_clean_because_an_older_one_went_up(machine, place):
    async with machine.on():
        await machine.save(f"{place.path}/{F}", OLD)
        machine.emulator.settings(route_latency_ms={"items_post": 500})
        uploader = machine.writing.settler.orders.uploader
        await until(lambda: uploader.progress() and uploader.progress()[0].done_bytes)
        await machine.save(f"{place.path}/{F}", OURS)
        states = set()
        for _ in range(2000):
            states.add((await machine.state(f"{place.path}/{F}"))[0])
            if place.count(OURS):
                break
            draft = (await machine.live(f"{place.path}/{F}")).draft
            assert draft.generation == draft.uploaded_generation or str(draft.state) != "clean"
        await machine.comes_to_rest()
        assert place.has_all({F: OURS})


@fast
async def test_a_version_that_comes_just_before_our_deletion_is_restored(machine, place):
    item = place.add(F, OLD)
    order = place.order("new_version", F, text=THEIRS.decode())
    machine.emulator.race("versions_post", order, body=item)
    async with machine.on():
        await machine.unlink(f"{place.path}/{F}")
        await machine.comes_to_rest()
        assert place.has_all({F: THEIRS})
        await machine.look_again(place.path)
        await shows_all(machine, place, {F: THEIRS})


@fast
async def test_a_version_that_nobody_here_has_seen_is_not_deleted(machine, place):
    place.add(F, OLD)
    async with machine.on():
        await machine.names(place.path)
        place.change("new_version", F, text=THEIRS.decode())
        await machine.unlink(f"{place.path}/{F}")
        await machine.comes_to_rest()
        assert place.has_all({F: THEIRS})
        await machine.look_again(place.path)
        await shows_all(machine, place, {F: THEIRS})


@fast
async def test_theirs_that_was_renamed_meanwhile_is_seen_under_its_name(machine, place):
    place.add(F, OLD)
    place.add("other.dwg", OLD)
    async with machine.on():
        async with an_edit(machine, place, name="other.dwg"):
            place.change("new_version", F, text=THEIRS.decode())
            await machine.rename(f"{place.path}/other.dwg", f"{place.path}/{F}")
            place.change("rename", F, name=G)
        await machine.comes_to_rest()
        await machine.look_again(place.path)
        copy = copy_in(place, G)
        assert place.has_all({G: THEIRS, copy: OURS})
        await shows_all(machine, place, {G: THEIRS, copy: OURS})


@fast
async def test_a_name_that_an_own_file_has_not_left_yet_is_waited_for(machine, place):
    place.add(F, OLD)
    place.add(G, THEIRS)
    async with machine.on():
        await machine.names(place.path)
        machine.emulator.fault("status", status=503, route="versions_post", times=1)
        await machine.rename(f"{place.path}/{G}", f"{place.path}/away.dwg")
        await machine.rename(f"{place.path}/{F}", f"{place.path}/{G}")
        await machine.comes_to_rest(20)
        assert place.has_all({G: OLD, "away.dwg": THEIRS})
        await shows_all(machine, place, {G: OLD, "away.dwg": THEIRS})
        assert not machine.heard("conflict")
