"""What the recorder shows, and what the journal has of it."""

from __future__ import annotations

import json

import pytest

from dmfs.errors import NotFoundError
from dmfs.model import ItemId
from dmfs.write.settle.plan import DeleteItem, Item, UploadNewVersion
from dmfs.write.settle.recording.recorder import FolderNames
from tests.write.settle.model import F, Folder, Lineage, a_folder


def test_untouched_names_are_the_listings() -> None:
    folder = a_folder("a.dwg", "b.dwg")
    assert set(folder.names.shown()) == {"a.dwg", "b.dwg"}
    assert not folder.names
    assert folder.names.take_changes() == []


def test_an_item_is_hidden_wherever_a_late_listing_has_it() -> None:
    folder = a_folder()
    before = folder.listing()
    folder.rename(F, "b.dwg")
    folder.now += 10
    folder.carry_out()
    folder.names.see(before, folder.now)
    assert set(folder.names.shown()) == {"b.dwg"}
    folder.now += 1
    folder.look()
    assert set(folder.names.shown()) == {"b.dwg"}
    assert not folder.names


def test_a_deleted_item_stays_away_and_after_ten_minutes_the_listing_is_right() -> None:
    folder = a_folder()
    before = folder.listing()
    folder.unlink(F)
    folder.now += 10
    folder.carry_out()
    folder.names.see(before, folder.now + 1)
    assert folder.names.shown() == {}
    folder.names.see(before, folder.now + 601)
    assert set(folder.names.shown()) == {F}


def test_what_was_uploaded_is_seen_until_a_listing_has_it() -> None:
    folder = a_folder()
    before = folder.listing()
    folder.write(F)
    folder.now += 10
    folder.carry_out()
    folder.names.see(before, folder.now + 1)
    assert folder.content_of(F) == folder.seen[F]
    folder.now += 2
    folder.look()
    assert not folder.names
    assert folder.content_of(F) == folder.seen[F]


def test_somebody_elses_newer_version_ends_it_too() -> None:
    folder = a_folder()
    folder.write(F)
    folder.now += 10
    folder.carry_out()
    (lineage,) = folder.service.values()
    lineage.versions.append(4711)
    folder.look()
    assert not folder.names
    assert folder.content_of(F) == 4711


def test_somebody_elses_file_under_a_name_that_was_freed_is_seen_in_the_end() -> None:
    folder = a_folder()
    folder.rename(F, "b.dwg")
    folder.now += 6
    folder.carry_out()
    folder.service[ItemId("theirs")] = Lineage(F, [4711])
    folder.now += 1
    folder.look()
    assert folder.names.shown().keys() == {F, "b.dwg"}
    assert folder.content_of(F) == 4711


def test_nothing_comes_of_nothing() -> None:
    names = FolderNames()
    with pytest.raises(NotFoundError):
        names.rename("a", "b", 0.0)
    with pytest.raises(NotFoundError):
        names.unlink("a", 0.0)
    names.written("a", 0.0)
    assert not names
    assert names.take_changes() == []


def test_a_rename_onto_itself_is_nothing() -> None:
    folder = a_folder()
    draft = folder.write(F)
    assert folder.names.rename(F, F, folder.now) is None
    assert folder.names.draft_name(draft) == F


def test_the_draft_that_is_renamed_over_is_dropped() -> None:
    folder = Folder()
    first = folder.write("a")
    folder.write("b")
    assert folder.names.rename("b", "a", folder.now) == first
    assert folder.names.draft_name(first) is None


def test_a_discarded_draft_lets_its_item_be_seen_again() -> None:
    folder = a_folder()
    before = folder.content_of(F)
    draft = folder.write(F)
    folder.rename(F, "b.dwg")
    folder.names.discard(draft, folder.now)
    assert folder.names.at("b.dwg") is None
    assert folder.content_of(F) == before
    assert not folder.names


def test_a_delete_that_waits_is_undone() -> None:
    folder = a_folder()
    (item_id,) = folder.service
    folder.unlink(F)
    assert folder.names.revive(item_id, folder.now)
    assert folder.names.at(F) is not None
    assert not folder.names
    assert not folder.names.revive(item_id, folder.now)


def test_not_if_the_name_is_taken_or_it_is_done() -> None:
    folder = a_folder()
    (item_id,) = folder.service
    folder.unlink(F)
    folder.write(F)
    assert not folder.names.revive(item_id, folder.now)
    folder.unlink(F)
    folder.now += 10
    folder.carry_out()
    assert isinstance(folder.log[-1], DeleteItem)
    assert not folder.names.revive(item_id, folder.now)


def test_an_upload_that_ends_after_its_draft_was_removed_is_deleted_again() -> None:
    folder = Folder()
    folder.write("a.dwg")
    folder.now += 6
    (step,) = folder.plan().steps
    folder.begin(step)
    folder.unlink("a.dwg")
    folder.look()
    assert folder.names.shown() == {}
    folder.answer()
    folder.come_to_rest()
    assert folder.live() == {}


def test_a_step_that_failed_shows_what_is_there() -> None:
    folder = Folder()
    folder.write("a.dwg")
    folder.now += 6
    (step,) = folder.plan().steps
    folder.names.begun(step, folder.now)
    folder.unlink("a.dwg")
    assert folder.names
    folder.names.failed(step)
    assert not folder.names


def rows_of(folder: Folder) -> dict[str, dict]:
    return {key: row for key, row in folder.names.take_changes() if row is not None}


def test_rows_are_json_and_make_the_same_again() -> None:
    folder = a_folder("a.dwg", "b.dwg", "c.dwg")
    folder.write("a.dwg")
    folder.rename("b.dwg", "b.bak")
    folder.unlink("c.dwg")
    folder.write("lu1234.tmp")
    folder.rename("lu1234.tmp", "b.dwg")
    rows = json.loads(json.dumps(rows_of(folder)))
    again = FolderNames.of_rows(rows, folder.now)
    again.see(folder.listing(), folder.now)
    assert again.shown() == folder.names.shown()
    assert again.state("b", folder.drafts) == folder.names.state("b", folder.drafts)


def test_after_a_restart_the_latest_event_is_of_now() -> None:
    folder = Folder()
    folder.write("a.dwg")
    folder.now += 3
    folder.write("b.dwg")
    again = FolderNames.of_rows(rows_of(folder), 50.0)
    times = {name: each.touched_at for name, each in again.state("b", folder.drafts).names.items()}
    assert times == {"a.dwg": 47.0, "b.dwg": 50.0}


def test_rows_say_what_changed_only() -> None:
    folder = a_folder("a.dwg", "b.dwg")
    folder.write("a.dwg")
    folder.names.take_changes()
    folder.unlink("b.dwg")
    assert [key.split()[0] for key, _ in folder.names.take_changes()] == ["gone", "name"]
    folder.now += 10
    folder.carry_out()
    folder.now += 1
    folder.look()
    assert all(row is None for _, row in folder.names.take_changes())


def test_an_answer_needs_its_item() -> None:
    folder = a_folder()
    folder.write(F)
    folder.now += 6
    (step,) = folder.plan().steps
    assert isinstance(step, UploadNewVersion)
    with pytest.raises(ValueError, match="answer"):
        folder.names.done(step, folder.now)


def theirs(folder: Folder) -> Item:
    """Somebody else's version of the only item."""
    ((item_id, lineage),) = folder.service.items()
    lineage.versions.append(4711)
    return folder.item(item_id)


def test_a_conflict_shows_theirs_and_ours_beside() -> None:
    folder = a_folder()
    draft = folder.write(F)
    ours = folder.seen[F]
    folder.goes_beside(draft, theirs(folder).item_id, "plan (conflict).dwg")
    folder.look()
    assert folder.names.draft_name(draft) == "plan (conflict).dwg"
    assert folder.content_of(F) == 4711
    folder.look()
    folder.come_to_rest()
    assert folder.live() == {F: 4711, "plan (conflict).dwg": ours}


def test_so_it_does_for_a_file_that_was_renamed_over_theirs() -> None:
    folder = a_folder()
    draft = folder.write("lu123456.tmp")
    folder.rename("lu123456.tmp", F)
    folder.goes_beside(draft, theirs(folder).item_id, "plan (conflict).dwg")
    folder.look()
    assert folder.content_of(F) == 4711
    assert [type(each).__name__ for each in folder.come_to_rest()] == ["UploadNewItem"]


def test_a_draft_that_has_another_name_by_now_keeps_that_name() -> None:
    folder = a_folder()
    draft = folder.write(F)
    folder.rename(F, "b.dwg")
    folder.goes_beside(draft, theirs(folder).item_id, "plan (conflict).dwg", F)
    folder.look()
    assert folder.names.draft_name(draft) == "b.dwg"
    assert folder.content_of(F) == 4711
    assert [type(each).__name__ for each in folder.come_to_rest()] == ["UploadNewItem"]
    assert folder.live().keys() == {F, "b.dwg"}


def test_an_item_that_somebody_deleted_is_made_anew() -> None:
    folder = a_folder()
    (item_id,) = folder.service
    folder.write(F)
    folder.service[item_id].alive = False
    folder.names.lost(item_id)
    folder.look()
    assert [type(each).__name__ for each in folder.come_to_rest()] == ["UploadNewItem"]
    assert folder.live() == folder.seen


def test_a_lost_item_is_seen_no_more_under_its_new_name() -> None:
    folder = a_folder()
    (item_id,) = folder.service
    folder.rename(F, "b.dwg")
    folder.names.lost(item_id)
    folder.names.see({}, folder.now)
    assert not folder.names
    assert folder.names.shown() == {}


def test_bytes_are_read_from_the_draft_until_it_is_adopted() -> None:
    folder = a_folder()
    draft = folder.write(F)
    folder.now += 6
    (step,) = folder.plan().steps
    folder.begin(step)
    ((_, item, _),) = folder.pending
    folder.names.done(step, folder.now, item, more=True)
    assert folder.names.at(F) == draft
    folder.names.adopted(draft)
    assert folder.names.at(F) == item
    folder.now += 1
    folder.look()
    assert not folder.names


def test_a_renamed_item_is_as_new_as_the_listing_has_it() -> None:
    folder = a_folder()
    folder.rename(F, "b.dwg")
    theirs(folder)
    folder.look()
    assert folder.content_of("b.dwg") == 4711


def test_an_older_listing_is_not_looked_at() -> None:
    folder = a_folder()
    before, asked_at = folder.listing(), folder.now
    folder.rename(F, "b.dwg")
    folder.now += 10
    folder.carry_out()
    folder.now += 1
    folder.look()
    folder.names.see(before, asked_at)
    assert set(folder.names.shown()) == {"b.dwg"}


def test_a_conflict_of_a_file_renamed_over_another_keeps_its_own_item() -> None:
    folder = a_folder("a.dwg", "b.dwg")
    own, other = folder.service
    draft = folder.write("a.dwg")
    folder.rename("a.dwg", "b.dwg")
    folder.service[other].versions.append(4711)
    folder.goes_beside(draft, other, "b (conflict).dwg")
    folder.look()
    assert folder.content_of("b.dwg") == 4711
    assert [type(each).__name__ for each in folder.come_to_rest()] == ["UploadNewVersion"]
    assert folder.service[own].name == "b (conflict).dwg"
    assert folder.names.hides(own, "a.dwg")


def test_what_a_lost_item_was_renamed_over_is_seen_again() -> None:
    folder = a_folder("a.dwg", "b.dwg")
    content = folder.content_of("b.dwg")
    (first, _) = folder.service
    folder.rename("a.dwg", "b.dwg")
    folder.service[first].alive = False
    folder.names.lost(first)
    folder.look()
    assert folder.content_of("b.dwg") == content
    assert folder.come_to_rest() == []


def test_a_draft_made_while_its_item_gets_its_name_is_of_the_newer_version() -> None:
    folder = a_folder()
    folder.rename(F, "b.dwg")
    folder.now += 6
    (step,) = folder.plan().steps
    folder.begin(step)
    folder.write("b.dwg")
    folder.rename("b.dwg", "c.dwg")
    folder.answer()
    folder.now += 60
    (step,) = folder.plan().steps
    assert isinstance(step, UploadNewVersion)
    assert (step.item.number, step.item.name, step.name) == (2, "b.dwg", "c.dwg")


def test_what_is_left_of_a_plan_is_in_the_next() -> None:
    folder = a_folder("a.dwg", "b.dwg")
    folder.write("b.dwg")
    folder.rename("b.dwg", "a.dwg")
    folder.now += 6
    assert len(folder.plan().steps) == 2
    folder.carry_out(1)
    folder.now += 1
    folder.look()
    assert set(folder.names.shown()) == {"a.dwg"}
    folder.now += 6
    (step,) = folder.plan().steps
    assert isinstance(step, DeleteItem)


def test_after_a_restart_too_a_listing_ends_what_it_contradicts_for_long() -> None:
    folder = a_folder()
    folder.write(F)
    folder.now += 6
    folder.carry_out()
    folder.names = FolderNames.of_rows(rows_of(folder), 5.0)
    folder.names.see({}, 300.0)
    assert set(folder.names.shown()) == {F}, "it may lag"
    folder.names.see({}, 700.0)
    assert folder.names.shown() == {}


def test_a_draft_that_was_overtaken_keeps_its_bytes() -> None:
    folder = a_folder()
    draft = folder.write(F)
    folder.rename(F, F + "~")
    folder.write(F)
    folder.come_to_rest()
    folder.names.adopted(draft)
    assert folder.names.at(F + "~") == draft
