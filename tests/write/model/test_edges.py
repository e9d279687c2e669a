"""What random walks have found, each under its name."""

from __future__ import annotations

import os

import pytest

from dmfs.errors import NoRoomError
from dmfs.write.handle import Handle
from tests.write.model.machine import fast
from tests.write.model.place import sha256
from tests.write.model.test_conflicts import shows_all

OLD, OURS = b"old " * 50, b"ours " * 60
F, G = "Plan.dwg", "Elevation.dwg"


@fast
async def test_a_truncate_to_the_same_size_is_no_change(machine, place):
    place.add(F, OLD)
    place.add(G, b"")
    async with machine.on():
        for name, size in ((F, len(OLD)), (G, 0)):
            handle = await machine.open(f"{place.path}/{name}", os.O_RDWR)
            await handle.truncate(size)
            await handle.confirm()
            handle.close()
            assert await machine.live(f"{place.path}/{name}") is None
        assert machine.rests
    assert [len(each) for each in place.live().values()] == [1, 1]


@fast
async def test_a_clean_file_that_is_truncated_to_its_size_stays_clean(machine, place):
    async with machine.on():
        await machine.save(f"{place.path}/{F}", OURS)
        await machine.comes_to_rest()
        handle = await machine.open(f"{place.path}/{F}", os.O_RDWR)
        await handle.truncate(len(OURS))
        await handle.confirm()
        handle.close()
        assert await machine.state(f"{place.path}/{F}") == ("clean", "")


@fast
async def test_a_file_written_to_while_others_are_let_go_of_stays(machine, place, monkeypatch):
    """The service had its bytes when it was found out which may go."""
    async with machine.on():
        for name in (F, G):
            await machine.save(f"{place.path}/{name}", OLD)
        await machine.comes_to_rest()
        drafts = machine.writing.drafts
        remove, handles = drafts._remove, list[tuple[str, Handle]]()

        async def writes_meanwhile(live, changes):
            if not handles:
                other = G if live.place.name == F else F
                handles.append((other, await machine.open(f"{place.path}/{other}", os.O_RDWR)))
                await handles[0][1].write(0, OURS)
            await remove(live, changes)

        monkeypatch.setattr(drafts, "_remove", writes_meanwhile)
        monkeypatch.setattr("dmfs.write.drafts.CLEAN_MAX", -9)  # all may go
        await drafts.trim()
        ((name, handle),) = handles
        written = OURS + OLD[len(OURS) :]
        assert await machine.read(f"{place.path}/{name}") == written
        await handle.confirm()
        handle.close()
        await machine.comes_to_rest()
        assert place.tips()[name] == sha256(written)


@fast
async def test_a_save_of_the_same_bytes_is_no_version(machine, place):
    place.add(F, OLD)
    async with machine.on():
        await machine.save(f"{place.path}/{F}", OLD)
        await machine.comes_to_rest()
        assert await machine.state(f"{place.path}/{F}") == ("clean", "")
        await shows_all(machine, place, {F: OLD})
        await machine.save(f"{place.path}/{F}", OURS)
        await machine.comes_to_rest()
    assert [each.sha256 for each in place.live()[F]] == [sha256(OLD), sha256(OURS)]
    assert machine.emulator.violations() == {}


@fast
async def test_a_rename_makes_safe_what_was_written(machine, place):
    item = place.add(F, OLD)
    async with machine.on():
        handle = await machine.open(f"{place.path}/new", os.O_RDWR | os.O_CREAT)
        await handle.write(0, OURS)
        await machine.rename(f"{place.path}/new", f"{place.path}/{F}")
    async with machine.on():
        await machine.comes_to_rest()
        await shows_all(machine, place, {F: OURS})
    assert place.has_all({F: OURS})
    assert place.item(F) == item


@fast
async def test_names_of_bytes_that_were_never_confirmed_mean_what_they_meant(machine, place):
    place.add(F, OLD)
    async with machine.on():
        handle = await machine.open(f"{place.path}/{F}", os.O_RDWR | os.O_TRUNC)
        await handle.write(0, OURS)
        await machine.unlink(f"{place.path}/{F}")
        handle = await machine.open(f"{place.path}/{F}", os.O_RDWR | os.O_CREAT)
        await handle.write(0, OURS)
        await machine.save(f"{place.path}/{G}", OURS)  # with which all names are journalled
    async with machine.on():
        await machine.comes_to_rest()
        await shows_all(machine, place, {F: OLD, G: OURS})
    assert place.has_all({F: OLD, G: OURS})


@fast
async def test_a_first_write_that_is_refused_is_no_version(machine, place, monkeypatch):
    place.add(F, OLD)
    async with machine.on():
        handle = await machine.open(f"{place.path}/{F}", os.O_RDWR)

        async def refuse(*_: object, **__: object) -> None:
            raise NoRoomError("the disk is full")

        with monkeypatch.context() as patch:
            patch.setattr("dmfs.write.spool.content.Content.write", refuse)
            with pytest.raises(NoRoomError):
                await handle.write(0, OURS)
        await handle.confirm()
        handle.close()
        await machine.comes_to_rest()
        assert await machine.state(f"{place.path}/{F}") == ("clean", "")
        await shows_all(machine, place, {F: OLD})
    assert len(place.live()[F]) == 1


@fast
async def test_a_name_that_was_taken_and_given_back_leaves_nothing_to_do(machine, place):
    """The bytes were to become another item's next version, and then were not."""
    place.add(F, OLD)
    place.add(G, b"other")
    async with machine.on():
        await machine.save(f"{place.path}/{F}", OURS)
        await machine.comes_to_rest()
        live = await machine.live(f"{place.path}/{F}")
        await live.take_all()  # as settling does it for a file that was renamed over another
        machine.writing.settler.touched(live.place.folder)
        await machine.comes_to_rest()
        assert await machine.state(f"{place.path}/{F}") == ("clean", "")
        await shows_all(machine, place, {F: OURS, G: b"other"})
    assert place.has_all({F: OURS, G: b"other"})
