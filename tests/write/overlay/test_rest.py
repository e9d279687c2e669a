"""Folders at rest cost nothing: views come when something is done, and go when it is listed."""

from __future__ import annotations

import gc

import pytest
import trio

from dmfs.model import FolderId
from dmfs.write.overlay import overlay as overlay_module
from dmfs.write.overlay.view import FolderView
from dmfs.write.records import DraftId, place_of
from dmfs.write.settle.nouns import DraftState, Item
from dmfs.write.settle.recording.listed import Listed
from tests.support.helpers import virtual
from tests.write.overlay.folders import Folders, a_folder, a_listing, file_in, pass_by

MANY = 5_000


def views_alive(folders: Folders) -> int:
    """Of this overlay: a test that failed before may hold others."""
    gc.collect()
    views = [each for each in gc.get_objects() if type(each) is FolderView]
    return sum(each._on_change == folders.overlay._on_change for each in views)


@virtual
async def test_thousands_of_folders_that_were_saved_in_leave_no_view_behind() -> None:
    folders = Folders()
    for number in range(MANY):
        directory = a_folder(f"folder {number}")
        draft = folders.save(directory, "plan.dwg", a_listing(directory, []))
        pass_by(1)
        file = folders.goes_up(directory, "plan.dwg", draft)
        view = folders.view(directory)
        view.rows()
        assert folders.overlay.views() == [view]
        pass_by(1)
        folders.overlay.shown(a_listing(directory, [file]))
        view.rows()
        del view
        assert folders.overlay.views() == []
    assert folders.overlay.gauges()["writing.folders"] == 0
    assert folders.overlay.gauges()["writing.folders_rested"] == overlay_module.RESTED_MAX
    assert views_alive(folders) == 0


@virtual
async def test_a_view_stays_until_the_journal_has_heard_of_the_agreement() -> None:
    folders, directory = Folders(), a_folder()
    agreed: list[FolderId] = []
    folders.overlay.on_agreement = agreed.append
    folders.save(directory, "plan.dwg", a_listing(directory, []))
    folders.view(directory).rows()
    folders.view(directory).unlink("plan.dwg", a_listing(directory, []))
    assert agreed
    assert agreed[-1] == directory.id
    (view,) = folders.overlay.views()
    assert [change.record for change in view.rows()] == [None]
    assert folders.overlay.views() == []


@virtual
async def test_who_has_a_view_in_hand_while_it_comes_to_rest_changes_the_only_one() -> None:
    folders, directory = Folders(), a_folder()
    in_hand = folders.view(directory)
    assert folders.overlay.views() == []
    draft = folders.save(directory, "a.dwg", a_listing(directory, []))
    assert folders.overlay.views() == [in_hand]
    in_hand.discard(draft)
    in_hand.rows()
    assert folders.overlay.views() == []
    listing = a_listing(directory, [])
    folders.save(directory, "b.dwg", listing)
    assert folders.overlay.views() == [in_hand]
    assert list(folders.overlay.shown(listing).names) == ["b.dwg"]


@virtual
async def test_a_folder_at_rest_knows_when_a_version_last_went_up() -> None:
    """One version a minute: also of a folder that rested in between."""
    folders, directory = Folders(), a_folder()
    draft = folders.save(directory, "plan.dwg", a_listing(directory, []))
    at = trio.current_time()
    file = folders.goes_up(directory, "plan.dwg", draft)
    pass_by(1)
    folders.overlay.shown(a_listing(directory, [file]))
    folders.view(directory).rows()
    assert folders.overlay.views() == []
    assert views_alive(folders) == 0
    view = folders.view(directory)
    assert view.names.state("b", {}).posted_at == {file.item_id: at}


@virtual
async def test_a_folder_at_rest_is_found_again_by_a_place_in_it() -> None:
    folders, directory = Folders(), a_folder(".git")
    listing = a_listing(directory, [])
    view = folders.view(directory)
    view.discard(folders.save(directory, "plan.dwg", listing))
    view.rows()
    del view
    place = place_of(directory, "plan.dwg")
    assert place is not None
    assert folders.overlay.of(place).directory == directory


@virtual
async def test_a_deletion_is_remembered_until_the_listing_agrees() -> None:
    folders, directory = Folders(), a_folder()
    file = file_in(directory, "plan.dwg")
    before = a_listing(directory, [file])
    view = folders.view(directory)
    pass_by(1)
    view.unlink("plan.dwg", before)
    item = view.names.state("b", {}).absent[0].item
    view.gone(item, "plan.dwg")
    view.rows()
    assert folders.overlay.shown(before).entries == {}
    assert folders.overlay.views() == [view]
    pass_by(1)
    lags = a_listing(directory, [file])
    assert folders.overlay.shown(lags).entries == {}
    pass_by(1)
    assert folders.overlay.shown(a_listing(directory, [])).entries == {}
    view.rows()
    assert folders.overlay.views() == []


@virtual
async def test_what_is_in_a_folder_goes_with_it_when_it_gets_another_id() -> None:
    folders, before, after = Folders(), a_folder("before"), a_folder("after")
    folders.view(before).shows("inner", a_folder("inner"))
    keys = {change.key for change in folders.view(before).rows()}
    changes = folders.overlay.became(before, after)
    assert {change.key for change in changes if change.record is None} == keys
    assert [change.key for change in changes if change.record] == ["after@owner/inner"]
    assert [view.folder_id for view in folders.overlay.views()] == ["after"]
    assert {change.key for change in folders.overlay.forget(after)} == {"after@owner/inner"}
    assert folders.overlay.views() == []


@virtual
async def test_a_listing_costs_what_was_touched_and_not_what_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """20 000 files, of which a program has written one and renamed another."""
    scans: list[set[str]] = []
    items: list[str] = []
    look_for, get = Listed._look_for, Listed.__getitem__

    def counted_scan(self: Listed, ids: set[str]) -> None:
        scans.append(ids)
        look_for(self, ids)

    def counted_item(self: Listed, name: str) -> Item:
        items.append(name)
        return get(self, name)

    monkeypatch.setattr(Listed, "_look_for", counted_scan)
    monkeypatch.setattr(Listed, "__getitem__", counted_item)
    folders, directory = Folders(), a_folder()
    files = [file_in(directory, f"{number:06}.dwg") for number in range(20_000)]
    folders.save(directory, "new.dwg", a_listing(directory, files))
    view = folders.view(directory)
    view.rename("000001.dwg", "renamed.dwg", a_listing(directory, files))
    items.clear()
    for _ in range(5):
        pass_by(1)
        shown = folders.overlay.shown(a_listing(directory, files))
        assert len(shown.names) == len(files) + 1
        names = view.names.state("b", _Any(), siblings=view.others())
        assert "000002.dwg" in names.siblings
        assert "000001.dwg" not in names.siblings
    assert scans == []
    assert len(items) < 200
    assert len(view._files) <= 2


class _Any(dict[DraftId, DraftState]):
    """The state of any draft."""

    def __missing__(self, key: DraftId) -> DraftState:
        return DraftState(key, 1, 1)
