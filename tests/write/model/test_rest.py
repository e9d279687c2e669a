"""What a folder costs when it has come to rest, and what goes on after a file was moved."""

from __future__ import annotations

import pytest

from dmfs.errors import NoRoomError
from dmfs.write import settler as settler_module
from dmfs.write.care.journalled import Journalled
from tests.write.model.machine import fast, until
from tests.write.model.test_conflicts import OLD, OURS, F, G, an_edit, shows_all


@fast
async def test_a_folder_at_rest_is_not_remembered(machine, place):
    """Neither in memory nor in the journal, once a listing has agreed."""
    item = place.add(F, OLD)
    async with machine.on():
        overlay, settler = machine.writing.overlay, machine.writing.settler
        inode = (await machine.find(f"{place.path}/{F}")).identity
        await machine.save(f"{place.path}/{F}", OURS)
        assert len(overlay.views()) == 1
        await machine.comes_to_rest()
        mtime_ns = (await machine.find(f"{place.path}/{F}")).mtime_ns
        await machine.look_again(place.path)
        assert await machine.names(place.path) == [F]
        await until(lambda: not overlay.views())
        settler.try_again()
        found = await machine.find(f"{place.path}/{F}")
        assert (found.identity, found.mtime_ns) == (inode, mtime_ns)
        await shows_all(machine, place, {F: OURS})
        await machine.save(f"{place.path}/{F}", OLD)
        await machine.comes_to_rest()
        assert [each.number for each in place.live()[F]] == [1, 2, 3]
        assert place.item(F) == item
        await machine.look_again(place.path)
        await machine.names(place.path)
        await until(lambda: not overlay.views())
    journal = Journalled.look(
        machine.settings.state_dir / "spool" / machine.settings.profile, owner=None
    )
    assert journal is not None
    assert "name" not in journal._found.rows


@fast
async def test_changes_of_names_are_looked_for_where_there_may_be_any(machine, place, monkeypatch):
    places = [f"{place.path}/{number}" for number in range(5)]
    async with machine.on():
        settler, planned = machine.writing.settler, []
        for path in places:
            await machine.mkdir(path)
            await machine.save(f"{path}/{F}", OURS)
        await machine.comes_to_rest()
        assert len(machine.writing.overlay.views()) >= len(places)
        plan = settler.plan

        def counted(view, **more):
            planned.append(view)
            return plan(view, **more)

        monkeypatch.setattr(settler, "plan", counted)
        assert settler.pending_names() == []
        assert planned == []
        machine.emulator.settings(route_latency_ms={"item_get": 1000})
        await machine.unlink(f"{places[2]}/{F}")
        planned.clear()
        assert [each.step.place for each in settler.pending_names()] == [F]
        assert len(planned) == 1
        machine.emulator.settings(route_latency_ms={})
        await machine.comes_to_rest()


@fast
async def test_too_many_folders_that_nobody_lists_again_are_listed(machine, place, monkeypatch):
    monkeypatch.setattr(settler_module, "AGREEING_MAX", 1)
    async with machine.on():
        for number in range(4):
            await machine.mkdir(f"{place.path}/{number}")
            await machine.names(f"{place.path}/{number}")
        await machine.names(place.path)
        await machine.look_again(place.path)
        await machine.names(place.path)
        for number in range(4):
            await machine.save(f"{place.path}/{number}/{F}", OURS)
        await machine.comes_to_rest()
        await until(lambda: len(machine.writing.overlay.views()) <= 1)


@fast
async def test_bytes_that_came_while_a_moved_file_went_up_follow_it(machine, place):
    """Under its new place, whose name is as the mount shows it."""
    item = place.add(F, OLD)
    inner = machine.emulator.change("add_folder", path=place.raw, name="inner")
    async with machine.on():
        uploader = machine.writing.settler.orders.uploader
        machine.emulator.settings(route_latency_ms={"versions_post": 500})
        async with an_edit(machine, place):
            machine.emulator.change("move", id=item, to=inner["id"])
        await until(lambda: uploader.progress() and uploader.progress()[0].done_bytes)
        (live,) = machine.writing.drafts.by_id.values()
        await live.write(0, b"newer")
        await live.confirm()
        machine.emulator.settings(route_latency_ms={})
        await machine.comes_to_rest()
        await until(lambda: live.is_clean)
        assert await machine.read(f"{place.path}/inner/{F}") == b"newer" + OURS[5:]
        await machine.look_again(f"{place.path}/inner")
        assert (await machine.find(f"{place.path}/inner/{F}")).identity == live.key
    versions = [each for each in machine.emulator.writes()["items"] if each["id"] == item]
    assert len(versions[0]["versions"]) == 3


@fast
async def test_a_row_that_the_journal_did_not_take_comes_with_the_next(make_machine, place):
    """Else a file that is seen to be deleted, and will be, is there again after a restart."""
    for name in (F, G):
        place.add(name, OLD)
    machine = make_machine("ada", upload_delay=3600.0)
    async with machine.on():
        await machine.names(place.path)
        journal = machine.writing.spool._journal
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(journal, "commit", _full)
            with pytest.raises(NoRoomError):
                await machine.unlink(f"{place.path}/{F}")
        assert await machine.names(place.path) == [G]
        await machine.save(f"{place.path}/{G}", OURS)
    async with machine.on():
        assert await machine.names(place.path) == [G]
        assert [each.step.place for each in machine.writing.settler.pending_names()] == [F]


def _full(*_args, **_more):
    raise NoRoomError("the disk is full")
