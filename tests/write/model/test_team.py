"""Projects in which nothing can be deleted (``a.``): what is removed there is seen again."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import trio

from dmfs.model import ItemId, VersionId
from dmfs.write.records import DraftId
from dmfs.write.settle.nouns import (
    AbsentItem,
    DraftState,
    FolderState,
    Item,
    NameState,
    Rules,
    ShowAgain,
    UploadNewItem,
)
from dmfs.write.settle.plan import settle
from dmfs.write.settle.recording.recorder import FolderNames
from tests.write.model.machine import fast
from tests.write.model.place import Place
from tests.write.model.test_conflicts import shows_all

OLD, OTHER, OURS = b"old " * 50, b"other " * 40, b"ours " * 60
F, G = "Plan.dwg", "Elevation.dwg"


@pytest.fixture
def place(calm):
    return Place.new(calm, team=True)


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("truncated", [0, os.O_TRUNC])
@fast
async def test_a_file_whose_edit_became_anothers_version_is_seen_with_its_own_bytes(
    machine, place, opened, truncated
):
    """It has been one inode with what was written to it; now they are two."""
    for name, data in ((F, OLD), (G, OTHER)):
        place.add(name, data)
    async with machine.on():
        handle = await machine.open(f"{place.path}/{F}", os.O_RDWR | truncated)
        await handle.write(0, OURS)
        if not opened:
            await handle.confirm()
        await machine.rename(f"{place.path}/{F}", f"{place.path}/{G}")
        if opened:
            await handle.confirm()
        handle.close()
        await machine.comes_to_rest()
        await trio.sleep(5)
        assert place.has_all({F: OLD, G: OURS})
        await shows_all(machine, place, {F: OLD, G: OURS})
        nodes = [await machine.find(f"{place.path}/{name}") for name in (F, G)]
        assert nodes[0].identity != nodes[1].identity
    async with machine.on():
        await shows_all(machine, place, {F: OLD, G: OURS})
        nodes = [await machine.find(f"{place.path}/{name}") for name in (F, G)]
        assert nodes[0].identity != nodes[1].identity
        await machine.save(f"{place.path}/{F}", OTHER)
        await machine.comes_to_rest()
        await shows_all(machine, place, {F: OTHER, G: OURS})
    assert place.has_all({F: OTHER, G: OURS})


@fast
async def test_a_program_that_removed_a_file_and_did_not_save_it(machine, place):
    place.add(F, OLD)
    async with machine.on():
        await machine.save(f"{place.path}/{G}", OURS)  # something is being saved
        await machine.unlink(f"{place.path}/{F}")
        assert await machine.names(place.path) == [G]
        await machine.comes_to_rest()
        await trio.sleep(5)
        await shows_all(machine, place, {F: OLD, G: OURS})
    assert place.has_all({F: OLD, G: OURS})


def test_a_removed_file_of_which_no_name_tells_does_not_keep_its_name_from_others():
    """Somebody else has renamed it, or deleted it: a new file waited for its name without end."""
    item = Item(ItemId("item"), VersionId("version"), F, 1)
    draft = DraftState(id=DraftId("d"), size_bytes=9, generation=1)
    name = NameState(name=F, draft=draft, clean=None, was=None, began_at=0.0, touched_at=0.0)
    absent = [AbsentItem(item, F, 0.0)]
    rules = Rules()
    folder = FolderState(kind="a", names={F: name}, absent=absent)
    assert settle(folder, 1e6, rules).steps == [ShowAgain(item, "")]
    assert settle(replace(folder, absent=[]), 1e6, rules).steps == [
        UploadNewItem(DraftId("d"), F, F)
    ]


def test_an_item_that_was_spared_is_seen_again_once_its_name_is_free():
    names = FolderNames()
    item = Item(ItemId("item"), VersionId("version"), F, 1)
    names.see({F: item}, 1.0)
    names.create("new", DraftId("d"), 2.0)
    names.rename("new", F, 3.0)
    names.spare(item.item_id)
    names.rename(F, "beside", 4.0)
    assert names.revive(item.item_id, 5.0)
    assert names.at(F) == item
