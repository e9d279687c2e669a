"""Two troubles at once: what they leave is what both people wrote, under names that say so."""

from __future__ import annotations

import os

import pytest

from dmfs.write import opening
from tests.write.model.machine import fast, until
from tests.write.model.place import Place, sha256
from tests.write.model.test_conflicts import OLD, OURS, THEIRS, F, G, an_edit, copy_in, shows_all

MORE, THEIRS_2 = b"more " * 80, b"theirs too " * 40


@fast
async def test_a_conflict_copy_that_somebody_changes_gets_a_copy_of_its_own(machine, place):
    place.add(F, OLD)
    async with machine.on():
        async with an_edit(machine, place):
            place.change("new_version", F, text=THEIRS.decode())
        await machine.comes_to_rest()
        copy = copy_in(place, F)
        async with an_edit(machine, place, MORE, copy):
            place.change("new_version", copy, text=THEIRS_2.decode())
        await machine.comes_to_rest()
        second = copy_in(place, F, copy)
        assert place.has_all({F: THEIRS, copy: THEIRS_2, second: MORE})
        await machine.look_again(place.path)
        await shows_all(machine, place, {F: THEIRS, copy: THEIRS_2, second: MORE})
        assert len(second.encode()) <= 255


@fast
async def test_a_name_of_255_bytes_that_two_people_changed(machine, place):
    name = "ü" * 125 + "x.dwg"
    place.add(name, OLD)
    async with machine.on():
        async with an_edit(machine, place, name=name):
            place.change("new_version", name, text=THEIRS.decode())
        await machine.comes_to_rest()
        copy = copy_in(place, name)
        assert len(copy.encode()) <= 255
        assert copy.endswith(").dwg")
        assert place.has_all({name: THEIRS, copy: OURS})
        await shows_all(machine, place, {name: THEIRS, copy: OURS})


@fast
async def test_renames_to_and_fro_while_it_goes_up(machine, place):
    machine.emulator.settings(route_latency_ms={"items_post": 300, "storage": 100})
    try:
        async with machine.on():
            await machine.save(f"{place.path}/{F}", OURS)
            uploader = machine.writing.settler.orders.uploader
            await until(uploader.progress)
            for _ in range(5):
                await machine.rename(f"{place.path}/{F}", f"{place.path}/{G}")
                await machine.rename(f"{place.path}/{G}", f"{place.path}/{F}")
            await machine.rename(f"{place.path}/{F}", f"{place.path}/{G}")
            await machine.comes_to_rest()
            await shows_all(machine, place, {G: OURS})
        assert place.has_all({G: OURS})
        assert place.storages(OURS) == 1
    finally:
        machine.emulator.settings(route_latency_ms={})


@fast
async def test_the_world_has_changed_while_the_drive_was_off(machine, place, monkeypatch):
    """One item has a new version, one is renamed, and one deleted: all were edited here."""
    monkeypatch.setattr(opening, "FINISH_S", 0.0)
    for name in ("a.dwg", "b.dwg", "c.dwg"):
        place.add(name, OLD)
    async with machine.on():
        await machine.names(place.path)
        machine.drive.force_offline(True)
        for name in ("a.dwg", "b.dwg", "c.dwg"):
            await machine.save(f"{place.path}/{name}", OURS + name.encode())
        await machine.save(f"{place.path}/{F}", MORE)
    place.change("new_version", "a.dwg", text=THEIRS.decode())
    place.change("rename", "b.dwg", name="moved.dwg")
    place.change("hide", "c.dwg")
    place.add(F, THEIRS_2)
    async with machine.on():
        await machine.comes_to_rest(20)
        known = ("a.dwg", "b.dwg", "c.dwg", "moved.dwg", F)
        copies = sorted(set(place.live()) - set(known))
        wanted = {
            "a.dwg": THEIRS, "moved.dwg": OURS + b"b.dwg", "c.dwg": OURS + b"c.dwg", F: THEIRS_2,
            copies[0]: MORE, copies[1]: OURS + b"a.dwg",
        }  # fmt: skip
        assert place.has_all(wanted)
        await machine.look_again(place.path)
        await shows_all(machine, place, wanted)
        assert not machine.leftovers()


@fast
async def test_a_folder_that_is_deleted_and_made_again_under_drafts(machine, place):
    below = place.emulator.change("add_folder", path=place.raw, name="below")
    path = f"{place.path}/below"
    async with machine.on():
        await machine.names(path)
        handle = await machine.open(f"{path}/{F}", os.O_RDWR | os.O_CREAT)
        await handle.write(0, OURS)
        place.emulator.change("delete_folder", id=below["id"])
        again = place.emulator.change("add_folder", path=place.raw, name="below")
        await handle.confirm()
        handle.close()
        drafts = machine.writing.drafts.by_id
        await until(lambda: "failed" in [str(each.draft.state) for each in drafts.values()])
        (live,) = drafts.values()
        assert "folder" in live.draft.reason
        await machine.look_again(place.path)
        assert await machine.names(path) == []
        items = [each for each in place.emulator.writes()["items"] if each["folder"] == again["id"]]
        assert items == []
    async with machine.on():
        (live,) = machine.writing.drafts.by_id.values()
        assert live.content is not None
        assert live.content.size_bytes == len(OURS)


@fast
async def test_a_folder_that_somebody_renames_under_an_upload(machine, place):
    below = place.emulator.change("add_folder", path=place.raw, name="below")
    async with machine.on():
        await machine.names(f"{place.path}/below")
        machine.emulator.fault(kind="late_effect", seconds=0.3, route="items_post", times=1)
        await machine.save(f"{place.path}/below/{F}", OURS)
        place.emulator.change("rename", id=below["id"], name="renamed")
        await machine.comes_to_rest(20)
        await machine.look_again(place.path)
        assert await machine.names(place.path) == ["renamed"]
        assert await machine.read(f"{place.path}/renamed/{F}") == OURS
    (item,) = [each for each in place.emulator.writes()["items"] if each["folder"] == below["id"]]
    assert [each["sha256"] for each in item["versions"]] == [sha256(OURS)]


@fast
async def test_theirs_comes_while_ours_is_in_doubt_and_is_edited_again(machine, place, monkeypatch):
    """The lost POST arrives late, theirs goes over it, and the process dies."""
    monkeypatch.setattr(opening, "FINISH_S", 0.0)
    place.add(F, OLD)
    async with machine.on():
        machine.emulator.fault(kind="late_effect", seconds=0.2, route="versions_post", times=1)
        await machine.save(f"{place.path}/{F}", OURS)
        uploader = machine.writing.settler.orders.uploader
        await until(lambda: any(work.row.in_doubt for work in uploader._works.values()))
        await machine.save(f"{place.path}/{F}", MORE)
    await until(lambda: place.count(OURS))
    place.change("new_version", F, text=THEIRS.decode())
    async with machine.on():
        await machine.comes_to_rest(25)
        copy = copy_in(place, F)
        assert place.has_all({F: THEIRS, copy: MORE})
        assert [each.sha256 for each in place.live()[F]] == [*map(sha256, (OLD, OURS, THEIRS))]
        await machine.look_again(place.path)
        await shows_all(machine, place, {F: THEIRS, copy: MORE})
        assert not machine.leftovers()
    assert place.storages(OURS) == place.storages(MORE) == 1


@pytest.mark.parametrize("team", [False, True])
@fast
async def test_a_file_that_is_written_over_while_it_gets_its_new_name(machine, calm, team):
    """Theirs, which the rename met on the service, was never seen here."""
    place = Place.new(calm, team=team)
    place.add(F, OLD)
    route = "version_patch" if team else "versions_post"
    machine.emulator.settings(route_latency_ms={route: 500})
    try:
        async with machine.on():
            await machine.names(place.path)
            place.change("new_version", F, text=THEIRS.decode())
            before = machine.emulator.counts().get(route, 0)
            await machine.rename(f"{place.path}/{F}", f"{place.path}/{G}")
            await until(lambda: machine.emulator.counts().get(route, 0) > before)
            await machine.save(f"{place.path}/new.dwg", OURS)
            await machine.rename(f"{place.path}/new.dwg", f"{place.path}/{G}")
            await machine.comes_to_rest(20)
            copy = copy_in(place, G)
            assert place.has_all({G: THEIRS, copy: OURS})
            await machine.look_again(place.path)
            await shows_all(machine, place, {G: THEIRS, copy: OURS})
    finally:
        machine.emulator.settings(route_latency_ms={})
