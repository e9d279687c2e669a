"""A file that has lost its name goes on for those who have it open, and for nobody else: what is
shown again under the name is the service's version, another file."""

from __future__ import annotations

import os

import pytest
import trio

from dmfs.write.care.remedies import Remedies
from dmfs.write.care.restoring import restore
from tests.write.model.machine import fast, read_all, until
from tests.write.model.test_conflicts import F, G
from tests.write.model.test_deleted_in_doubt import in_doubt

OLD, OURS, MORE = b"old " * 50, b"ours " * 60, b"more " * 70


async def undelete(machine, place):
    remedies = Remedies(machine.writing)
    (row,) = remedies.rows(f"{place.path}/{F}")
    assert row.what == "delete"
    await remedies.discard(row)


async def restored(machine, place):
    await restore(machine.writing, await machine.directory(place.path), F)


async def write_all(handle, data):
    await handle.truncate(0)
    await handle.write(0, data)
    await handle.confirm()


async def goes_on_alone(machine, place, handle, holds):
    """The handle has its bytes, the name the version's; what is written to each stays there."""
    path = f"{place.path}/{F}"
    assert await machine.read(path) == OLD
    assert (await machine.find(path)).identity != handle.live.key
    assert await read_all(handle) == holds
    if handle.writes:
        await write_all(handle, b"of nobody")
        assert await machine.read(path) == OLD
    again = await machine.open(path, os.O_RDWR)
    assert again.live is not handle.live
    await write_all(again, MORE)
    again.close()
    assert await read_all(handle) == (b"of nobody" if handle.writes else holds)
    await until(lambda: place.has_all({F: MORE}), why=machine.what_is_left)
    assert await machine.read(path) == MORE
    handle.close()
    await machine.comes_to_rest()
    assert place.has_all({F: MORE})
    assert place.count(b"of nobody") == 0
    await until(lambda: not machine.leftovers(), why=machine.leftovers)


@pytest.mark.parametrize("back", [undelete, restored])
@pytest.mark.parametrize("held", ["read", "to be written", "written", "saved"])
@fast
async def test_a_deletion_is_taken_back_while_the_file_is_open(machine, place, back, held):
    place.add(F, OLD)
    path = f"{place.path}/{F}"
    async with machine.on():
        handle = await machine.open(path, os.O_RDONLY if held == "read" else os.O_RDWR)
        # the service does not hear of the deletion
        machine.emulator.fault("status", route="item", status=503, times=None)
        machine.emulator.fault("status", route="storage", status=503, times=None)
        holds = OLD
        if held in ("written", "saved"):
            holds = OURS
            await handle.truncate(0)
            await handle.write(0, OURS)
        if held == "saved":
            await handle.confirm()
        await machine.unlink(path)
        await back(machine, place)
        machine.emulator.clear_faults()
        await goes_on_alone(machine, place, handle, holds)


@fast
async def test_a_file_that_went_up_is_deleted_and_shown_again(machine, place):
    """The inode of what was saved is remembered with its version."""
    path = f"{place.path}/{F}"
    async with machine.on():
        handle = await machine.open(path, os.O_RDWR | os.O_CREAT)
        await write_all(handle, OLD)
        handle.close()
        await machine.comes_to_rest()
        handle = await machine.open(path, os.O_RDWR)
        machine.emulator.fault("status", route="item", status=503, times=None)
        await machine.unlink(path)
        await undelete(machine, place)
        machine.emulator.clear_faults()
        await goes_on_alone(machine, place, handle, OLD)


@pytest.mark.parametrize("written", [False, True])
@fast
async def test_what_replaced_an_open_file_is_discarded(machine, place, written):
    place.add(F, OLD)
    path = f"{place.path}/{F}"
    async with machine.on():
        handle = await machine.open(path, os.O_RDWR)
        if written:
            await handle.write(0, OURS)
        machine.emulator.fault("status", route="storage", status=403, times=None)
        await machine.save(f"{place.path}/{G}", b"another file")
        await machine.rename(f"{place.path}/{G}", path)
        assert await machine.read(path) == b"another file"

        async def failed():
            return (await machine.state(path))[0] == "failed"

        await until(failed)
        remedies = Remedies(machine.writing)
        (row,) = remedies.rows(path)
        await remedies.discard(row)
        machine.emulator.clear_faults()
        await goes_on_alone(machine, place, handle, OURS if written else OLD)


@fast
async def test_what_was_in_doubt_turns_out_to_have_gone_up(machine, place):
    """Its name was taken away meanwhile, and given back: what is seen there goes up after it, and
    nothing of the file that has no name."""
    place.add(F, OLD)
    path = f"{place.path}/{F}"
    async with machine.on():
        handle = await doubtful_and_undeleted(machine, place)
        await write_all(handle, b"of nobody")
        assert await machine.read(path) == OLD
        await until(lambda: len(place.live()[F]) == 3, why=machine.what_is_left)
        await machine.comes_to_rest()
        assert await machine.names(place.path) == [F]
        assert await machine.read(path) == OLD
        assert await read_all(handle) == b"of nobody"
        handle.close()
        await until(lambda: not machine.leftovers(), why=machine.leftovers)
    assert place.has_all({F: OLD})
    assert (place.count(OURS), place.count(b"of nobody")) == (1, 0)
    assert not machine.heard("conflict")


@fast
async def test_somebody_else_has_changed_it_after_that(machine, place):
    place.add(F, OLD)
    async with machine.on():
        handle = await doubtful_and_undeleted(machine, place)
        machine.emulator.race("storage", place.order("new_version", F, text=MORE.decode()), times=1)
        await until(lambda: len(place.live()) == 2, why=machine.what_is_left)
        await machine.comes_to_rest()
        (beside,) = set(await machine.names(place.path)) - {F}
        assert await machine.read(f"{place.path}/{F}") == MORE
        assert await machine.read(f"{place.path}/{beside}") == OLD
        handle.close()
    assert place.has_all({F: MORE, beside: OLD})


@fast
async def test_what_was_made_in_doubt_is_shown_with_its_own_bytes(machine, place):
    """Its deletion is taken back when it is known that there is something to delete."""
    path = f"{place.path}/{F}"
    async with machine.on():
        machine.emulator.fault("late_effect", seconds=0.5, route="items_post", times=1)
        await machine.save(path, OLD)
        handle = await machine.open(path, os.O_RDWR)
        await in_doubt(machine)
        await machine.unlink(path)
        machine.emulator.fault("status", route="item", status=503, times=None)
        await until(machine.writing.settler.pending_names, why=machine.what_is_left)
        await undelete(machine, place)
        machine.emulator.clear_faults()
        await goes_on_alone(machine, place, handle, OLD)


async def doubtful_and_undeleted(machine, place):
    """An open file whose POST was not answered. It has lost its name meanwhile, and the version
    that was there before is seen again."""
    path = f"{place.path}/{F}"
    machine.emulator.fault("late_effect", seconds=0.5, route="versions_post", times=1)
    await machine.save(path, OURS)
    handle = await machine.open(path, os.O_RDWR)
    await in_doubt(machine)
    await machine.unlink(path)
    await undelete(machine, place)
    return handle


@fast
async def test_a_deletion_is_refused_while_the_file_is_open(machine, place):
    """It waits for a person, who takes it back."""
    place.add(F, OLD)
    async with machine.on():
        handle = await machine.open(f"{place.path}/{F}", os.O_RDWR)
        machine.emulator.fault("status", route="versions_post", status=403, times=1)
        await machine.unlink(f"{place.path}/{F}")
        await until(lambda: machine.heard("failed"), why=machine.what_is_left)
        await undelete(machine, place)
        await goes_on_alone(machine, place, handle, OLD)


@fast
async def test_a_file_is_opened_while_another_program_closes_it(machine, place, monkeypatch):
    """Both have one content, although the first one waits for a word about its rights."""
    place.add(F, OLD)
    path = f"{place.path}/{F}"
    async with machine.on():
        reads = await machine.open(path)
        rights, waits, goes_on = machine.writing.rights, trio.Event(), trio.Event()
        require = rights.require_write

        async def slow(file):
            if not waits.is_set():
                waits.set()
                await goes_on.wait()
            await require(file)

        monkeypatch.setattr(rights, "require_write", slow)
        found = []

        async def opens():
            found.append(await machine.open(path, os.O_RDWR))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(opens)
            await waits.wait()
            reads.close()
            other = await machine.open(path, os.O_RDWR)
            goes_on.set()
        assert found[0].live is other.live
        found[0].close()
        other.close()
