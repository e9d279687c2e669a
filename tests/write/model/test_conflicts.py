"""Somebody else changes the file that we write to: nothing of either is lost."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager

import trio
from trio.testing import MockClock

from tests.write.model.machine import fast, until
from tests.write.model.place import sha256

OLD, OURS, THEIRS = b"old " * 50, b"ours " * 60, b"theirs " * 70
F, G = "Plan.dwg", "Elevation.dwg"


@asynccontextmanager
async def an_edit(machine, place, data=OURS, name=F):
    """The body happens while the file is being written: then it is closed."""
    handle = await machine.open(f"{place.path}/{name}", os.O_RDWR)
    await handle.truncate(0)
    await handle.write(0, data)
    yield
    await handle.confirm()
    handle.close()


def minutes_pass(minutes):
    """At once; for where nothing is under way. A lock is looked at again every five of them."""
    clock = trio.lowlevel.current_clock()
    assert isinstance(clock, MockClock)
    clock.jump(60.0 * minutes)


async def shows(machine, place, **files):
    await shows_all(machine, place, files)


async def shows_all(machine, place, files):
    """The drive has these files, before and after it looks again."""
    for _ in range(2):
        assert await machine.names(place.path) == sorted(files)
        for name, data in files.items():
            assert await machine.read(f"{place.path}/{name}") == data, name
        await machine.look_again(place.path)


def copy_in(place, *others):
    """The name of the conflict copy."""
    (copy,) = set(place.live()) - set(others)
    return copy


@fast
async def test_the_name_is_never_empty_while_ours_goes_beside(machine, place, monkeypatch):
    """Whoever looks while the spool's disk works finds a file."""
    place.add(F, OLD)
    async with machine.on():
        spool, seen = machine.writing.spool, []
        commit = spool.commit

        async def looked_at(changes, **how):
            seen.append(await machine.find(f"{place.path}/{F}") is not None)
            await commit(changes, **how)
            seen.append(await machine.find(f"{place.path}/{F}") is not None)

        monkeypatch.setattr(spool, "commit", looked_at)
        async with an_edit(machine, place):
            place.change("new_version", F, text=THEIRS.decode())
        await machine.comes_to_rest()
        assert place.has_all({F: THEIRS, copy_in(place, F): OURS})
    assert len(seen) > 2
    assert all(seen)


@fast
async def test_ours_that_was_renamed_while_it_went_beside_keeps_that_name(
    machine, place, monkeypatch
):
    place.add(F, OLD)
    async with machine.on():
        landing = machine.writing.settler.orders._landing
        went_beside = landing.went_beside

        async def renamed_before(*values):
            await machine.rename(f"{place.path}/{F}", f"{place.path}/{G}")
            await went_beside(*values)
            assert await machine.find(f"{place.path}/{G}") is not None

        monkeypatch.setattr(landing, "went_beside", renamed_before)
        async with an_edit(machine, place):
            place.change("new_version", F, text=THEIRS.decode())
        await machine.comes_to_rest()
        await shows_all(machine, place, {F: THEIRS, G: OURS})
    assert place.has_all({F: THEIRS, G: OURS})


@fast
async def test_a_tip_that_changed_means_a_conflict_copy(machine, place):
    place.add(F, OLD)
    async with machine.on():
        async with an_edit(machine, place):
            place.change("new_version", F, text=THEIRS.decode())
        await machine.comes_to_rest()
        copy = copy_in(place, F)
        assert copy.startswith("Plan (conflict Ada Emulated ")
        assert copy.endswith(").dwg")
        assert place.has_all({F: THEIRS, copy: OURS})
        await shows_all(machine, place, {F: THEIRS, copy: OURS})
        state, reason = await machine.state(f"{place.path}/{copy}")
        assert state == "conflict"
        assert F in reason
        assert machine.heard("conflict")
    async with machine.on():
        await machine.comes_to_rest()
        await shows_all(machine, place, {F: THEIRS, copy: OURS})
        assert (await machine.state(f"{place.path}/{copy}"))[0] == "conflict"
    assert place.has_all({F: THEIRS, copy: OURS})
    assert machine.emulator.violations() == {}


@fast
async def test_a_handle_of_ours_goes_on_as_the_conflict_copy(machine, place):
    place.add(F, OLD)
    async with machine.on():
        reader = await machine.open(f"{place.path}/{F}")
        async with an_edit(machine, place):
            place.change("new_version", F, text=THEIRS.decode())
        await machine.comes_to_rest()
        copy = copy_in(place, F)
        assert bytes((await reader.read(0, 5000))[0]) == OURS
        writer = await machine.open(f"{place.path}/{copy}", os.O_RDWR)
        await writer.write(len(OURS), b"more")
        await writer.confirm()
        writer.close()
        assert bytes((await reader.read(0, 5000))[0]) == OURS + b"more"
        reader.close()
        await machine.comes_to_rest()
        assert place.has_all({F: THEIRS, copy: OURS + b"more"})
        await shows_all(machine, place, {F: THEIRS, copy: OURS + b"more"})
        assert [each.number for each in place.live()[copy]] == [1, 2]


@fast
async def test_equal_bytes_are_no_conflict(machine, place):
    place.add(F, OLD)
    async with machine.on():
        async with an_edit(machine, place):
            place.change("new_version", F, text=OURS.decode())
        await machine.comes_to_rest()
        assert place.has_all({F: OURS})
        assert place.count(OURS) == 1
        await shows_all(machine, place, {F: OURS})
        assert await machine.state(f"{place.path}/{F}") == ("clean", "")


@fast
async def test_theirs_that_ours_went_over_comes_back_beside(machine, place):
    item = place.add(F, OLD)
    machine.emulator.race(
        "versions_post", place.order("new_version", F, text=THEIRS.decode()), body=item
    )
    async with machine.on():
        async with an_edit(machine, place):
            pass
        await machine.comes_to_rest()
        theirs = "Plan (v2 by Bob Emulated).dwg"
        assert place.has_all({F: OURS, theirs: THEIRS})
        assert [each.sha256 for each in place.live()[F]] == [*map(sha256, (OLD, THEIRS, OURS))]
        assert machine.heard("overtook")[0]["beside"] == theirs
        await machine.look_again(place.path)
        await shows_all(machine, place, {F: OURS, theirs: THEIRS})


@fast
async def test_an_item_that_was_deleted_is_made_anew(machine, place):
    item = place.add(F, OLD)
    async with machine.on():
        async with an_edit(machine, place):
            place.change("hide", F)
        await machine.comes_to_rest()
        assert place.has_all({F: OURS})
        assert place.item(F) != item
        await shows_all(machine, place, {F: OURS})


@fast
async def test_an_item_that_is_deleted_before_the_post_is_made_anew(machine, place):
    item = place.add(F, OLD)
    machine.emulator.race("versions_post", place.order("hide", F), body=item)
    async with machine.on():
        async with an_edit(machine, place):
            pass
        await machine.comes_to_rest()
        assert place.has_all({F: OURS})
        await shows_all(machine, place, {F: OURS})


@fast
async def test_a_renamed_item_gets_ours_under_its_new_name(machine, place):
    item = place.add(F, OLD)
    async with machine.on():
        async with an_edit(machine, place):
            place.change("rename", F, name=G)
            await machine.look_again(place.path)
            assert await machine.names(place.path) == [F]
        await machine.comes_to_rest()
        assert place.has_all({G: OURS})
        assert place.item(G) == item
        assert await machine.state(f"{place.path}/{G}") == ("clean", "")
        await shows_all(machine, place, {G: OURS})
    assert machine.emulator.violations() == {}


@fast
async def test_a_file_renamed_on_both_sides_has_the_name_from_here(machine, place):
    place.add(F, OLD)
    async with machine.on():
        async with an_edit(machine, place):
            place.change("rename", F, name=G)
            await machine.rename(f"{place.path}/{F}", f"{place.path}/ours.dwg")
        await machine.comes_to_rest()
        assert place.has_all({"ours.dwg": OURS})
        await shows_all(machine, place, {"ours.dwg": OURS})


@fast
async def test_a_moved_item_gets_ours_where_it_is(machine, place):
    item = place.add(F, OLD)
    inner = machine.emulator.change("add_folder", path=place.raw, name="inner")
    async with machine.on():
        async with an_edit(machine, place):
            machine.emulator.change("move", id=item, to=inner["id"])
        await machine.comes_to_rest()
        versions = machine.emulator.timeline(id=item)
        assert [each["sha256"] for each in versions] == [sha256(OLD), sha256(OURS)]
        assert await machine.names(place.path) == ["inner"]
        await machine.look_again(place.path)
        await machine.look_again(f"{place.path}/inner")
        assert await machine.names(place.path) == ["inner"]
        assert await machine.names(f"{place.path}/inner") == [F]
        assert await machine.read(f"{place.path}/inner/{F}") == OURS
    assert place.live() == {}


@fast
async def test_a_folder_that_was_deleted_keeps_the_bytes_here(machine, place):
    place.add(F, OLD)
    async with machine.on():
        async with an_edit(machine, place):
            await machine.save(f"{place.path}/new.txt", OURS)
            machine.emulator.change("delete_folder", id=place.id)
        await until(lambda: len(failed(machine)) == 2)
        assert set(failed(machine).values()) == {"the folder was deleted"}
        assert await machine.read(f"{place.path}/{F}") == OURS
        assert await machine.read(f"{place.path}/new.txt") == OURS
        assert machine.heard("failed")
    async with machine.on():
        assert len(failed(machine)) == 2
        assert place.count(OURS) == 0


def failed(machine):
    """Name → reason."""
    return {
        live.place.name: live.draft.reason
        for live in machine.writing.drafts.by_id.values()
        if str(live.draft.state) == "failed"
    }


@fast
async def test_a_locked_item_is_waited_for(machine, place):
    place.add(F, OLD)
    async with machine.on():
        async with an_edit(machine, place):
            place.change("reserve", F)
        await until(
            lambda: "Bob Emulated" in str(machine.writing.settler.orders.uploader.progress())
        )
        state, reason = await machine.state(f"{place.path}/{F}")
        assert state == "waiting"
        assert "locked by Bob Emulated" in reason
        assert await machine.read(f"{place.path}/{F}") == OURS
        place.change("unreserve", F)
        minutes_pass(5)
        await machine.comes_to_rest(20)
        assert place.has_all({F: OURS})


@fast
async def test_an_own_lock_is_none(machine, place):
    place.add(F, OLD)
    place.change("reserve", F, user=machine.user)
    async with machine.on():
        async with an_edit(machine, place):
            pass
        await machine.comes_to_rest()
        assert place.has_all({F: OURS})


@fast
async def test_a_lock_that_comes_before_the_post_is_waited_for(machine, place):
    item = place.add(F, OLD)
    machine.emulator.race("versions_post", place.order("reserve", F), body=item)
    async with machine.on():
        async with an_edit(machine, place):
            pass
        await until(lambda: machine.emulator.races()[0]["hits"])
        await until(lambda: machine.writing.settler.orders.uploader.progress()[0].next_try_s > 1)
        assert (await machine.state(f"{place.path}/{F}"))[0] == "waiting"
        place.change("unreserve", F)
        minutes_pass(5)
        await machine.comes_to_rest(20)
        assert place.has_all({F: OURS})
        assert place.count(OURS) == 1


@fast
async def test_a_permission_that_is_lost_is_told(machine, place):
    place.add(F, OLD)
    async with machine.on():
        async with an_edit(machine, place):
            machine.emulator.change("level", id=place.id, user=machine.user, level="view")
        await until(lambda: F in failed(machine))
        assert failed(machine)[F]
        assert await machine.read(f"{place.path}/{F}") == OURS
        machine.emulator.change("level", id=place.id, user=machine.user, level=None)
        handle = await machine.open(f"{place.path}/{F}", os.O_RDWR)
        await handle.write(0, b"OURS")
        await handle.confirm()
        handle.close()
        await machine.comes_to_rest()
        assert place.has_all({F: b"OURS" + OURS[4:]})


@fast
async def test_a_name_that_another_was_quicker_with(machine, place):
    async with machine.on():
        await machine.names(place.path)
        place.add(F, THEIRS)
        await machine.save(f"{place.path}/{F}", OURS)
        await machine.comes_to_rest()
        copy = copy_in(place, F)
        assert place.has_all({F: THEIRS, copy: OURS})
        assert (await machine.state(f"{place.path}/{copy}"))[0] == "conflict"
        await shows_all(machine, place, {F: THEIRS, copy: OURS})


@fast
async def test_a_name_that_differs_in_case_is_told_and_can_be_mended(machine, place):
    async with machine.on():
        await machine.names(place.path)
        place.add("PLAN.dwg", THEIRS)
        await machine.save(f"{place.path}/{F}", OURS)
        await until(lambda: F in failed(machine))
        assert failed(machine)[F] == 'name taken by "PLAN.dwg"'
        await machine.rename(f"{place.path}/{F}", f"{place.path}/{G}")
        await machine.comes_to_rest()
        assert place.has_all({"PLAN.dwg": THEIRS, G: OURS})
        await shows_all(machine, place, {"PLAN.dwg": THEIRS, G: OURS})
