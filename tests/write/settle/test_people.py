"""What people do with names, and what becomes of it on the service."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dmfs.write.settle.plan import (
    HoldDeletes,
    KeepLocal,
    RenameItem,
    UploadNewVersion,
)
from tests.write.settle.model import F, a_folder, kinds


@pytest.mark.parametrize("name", ["new.dwg", "plan.bak", "notes.tmp", "PLAN.dwg"])
def test_a_rename_is_a_rename(name: str) -> None:
    folder = a_folder()
    (item_id,) = folder.service
    folder.rename(F, name)
    assert kinds(folder.come_to_rest()) == ["RenameItem"]
    assert folder.service[item_id].name == name


def test_a_chain_of_renames_is_one() -> None:
    folder = a_folder()
    folder.rename(F, "b.dwg")
    folder.rename("b.dwg", "c.dwg")
    (step,) = folder.come_to_rest()
    assert isinstance(step, RenameItem)
    assert step.name == "c.dwg"


def test_edited_and_renamed_is_one_call() -> None:
    folder = a_folder()
    folder.write(F)
    folder.rename(F, "b.dwg")
    (step,) = folder.come_to_rest()
    assert isinstance(step, UploadNewVersion)
    assert step.name == "b.dwg"
    assert folder.live() == folder.seen


@pytest.mark.parametrize("kind", ["a", "b"])
def test_two_items_change_names(kind: str) -> None:
    folder = a_folder("a.dwg", "b.dwg", kind=kind)
    folder.rename("a.dwg", "c.dwg")
    folder.rename("b.dwg", "a.dwg")
    folder.rename("c.dwg", "b.dwg")
    steps = folder.come_to_rest()
    assert kinds(steps) == ["RenameItem"] * 3
    assert steps[0].name.endswith(" (renaming).dwg")  # type: ignore[union-attr]
    assert folder.live() == folder.seen


def test_moved_aside_under_an_ordinary_name() -> None:
    """The item stays with its name; the old version is copied."""
    folder = a_folder()
    (item_id,) = folder.service
    folder.rename(F, "plan old.dwg")
    folder.write(F)
    assert kinds(folder.come_to_rest()) == ["UploadNewVersion", "CopyItem"]
    assert folder.service[item_id].name == F
    assert folder.live() == folder.seen


def test_moved_aside_where_nothing_is_copied() -> None:
    folder = a_folder(kind="a")
    folder.rename(F, "plan old.dwg")
    folder.write(F)
    assert kinds(folder.come_to_rest()) == ["UploadNewVersion"]
    assert folder.live() == {F: folder.seen[F]}
    assert any(isinstance(each, KeepLocal) and each.place == "plan old.dwg" for each in folder.log)


def test_another_file_renamed_over_it() -> None:
    """The history of the name goes on."""
    folder = a_folder("new.dwg", F)
    new = folder.seen["new.dwg"]
    folder.rename("new.dwg", F)
    steps = folder.come_to_rest()
    assert kinds(steps) == ["MakeDraft", "UploadNewVersion", "DeleteItem"]
    assert folder.live() == {F: new}


def test_a_delete_waits_for_the_delay() -> None:
    folder = a_folder()
    folder.unlink(F)
    folder.now += 4.9
    plan = folder.plan()
    assert plan.steps == []
    assert plan.next_look_at == pytest.approx(folder.now + 0.1)
    folder.now += 0.2
    assert kinds(list(folder.plan().steps)) == ["DeleteItem"]


def test_nothing_is_deleted_where_nothing_can_be() -> None:
    """A program that removes a file before it puts the new one there has died in between."""
    folder = a_folder(kind="a")
    before = folder.seen[F]
    folder.unlink(F)
    folder.now += 4
    assert folder.carry_out() == []
    folder.now += 2
    assert kinds(folder.carry_out()) == ["ShowAgain"]
    assert folder.content_of(F) == before
    assert not folder.names


def test_what_was_renamed_over_another_is_seen_again_where_nothing_can_be_deleted() -> None:
    folder = a_folder("a.dwg", "b.dwg", kind="a")
    folder.write("a.dwg")
    folder.rename("a.dwg", "b.dwg")
    assert kinds(folder.come_to_rest()) == ["UploadNewVersion", "ShowAgain"]
    assert folder.live() == folder.seen


def test_a_draft_that_never_went_up_goes_without_a_trace() -> None:
    folder = a_folder()
    folder.write("new.dwg")
    folder.rename("new.dwg", "newer.dwg")
    folder.unlink("newer.dwg")
    assert folder.come_to_rest() == []
    assert not folder.names


def test_a_delete_waits_while_a_program_may_be_saving() -> None:
    folder = a_folder("a.zip")
    folder.write("ziAbC12d")
    folder.unlink("a.zip")
    folder.now += 60
    folder.carry_out()
    assert folder.live().keys() == {"a.zip"}
    folder.come_to_rest()
    assert "a.zip" not in folder.live()


def test_many_deletes_wait_and_say_so() -> None:
    names = [f"{n}.dwg" for n in range(60)]
    folder = a_folder(*names)
    for each in names:
        folder.unlink(each)
    folder.now += 6
    plan = folder.plan()
    assert plan.steps == [HoldDeletes(60, folder.now - 6 + 60)]
    assert plan.next_look_at == folder.now - 6 + 60
    folder.now += 60
    assert kinds(folder.carry_out()) == ["DeleteItem"] * 60
    assert folder.live() == {}


def test_deletes_come_after_everything_else() -> None:
    folder = a_folder("a.dwg", "b.dwg", "c.dwg")
    folder.unlink("a.dwg")
    folder.rename("b.dwg", "d.dwg")
    folder.write("c.dwg")
    folder.write("e.dwg")
    assert kinds(folder.come_to_rest()) == [
        "UploadNewVersion",
        "UploadNewItem",
        "RenameItem",
        "DeleteItem",
    ]


def test_an_old_backup_that_gets_a_name_of_its_own_is_a_new_item() -> None:
    """Its bytes were a draft of the item once; the item has gone on."""
    folder = a_folder()
    (item_id,) = folder.service
    folder.write(F)
    folder.rename(F, F + "~")
    folder.write(F)
    folder.come_to_rest()
    folder.rename(F + "~", "before.dwg")
    assert kinds(folder.come_to_rest()) == ["UploadNewItem"]
    assert folder.service[item_id].name == F
    assert folder.live() == folder.seen


def test_renamed_there_and_back_while_the_first_is_on_its_way() -> None:
    folder = a_folder()
    folder.rename(F, "b.dwg")
    folder.now += 6
    (step,) = folder.plan().steps
    folder.begin(step)
    folder.rename("b.dwg", F)
    folder.answer()
    assert folder.names.shown().keys() == {F}
    assert kinds(folder.come_to_rest()) == ["RenameItem"]
    assert folder.live() == folder.seen


def test_nothing_is_deleted_whose_bytes_have_not_arrived_elsewhere() -> None:
    folder = a_folder("a.dwg", "b.dwg")
    draft = folder.write("b.dwg")
    folder.rename("b.dwg", "a.dwg")
    folder.drafts[draft] = replace(folder.drafts[draft], on_hold="refused: no permission")
    assert folder.come_to_rest() == []
    folder.drafts[draft] = replace(folder.drafts[draft], on_hold="")
    assert kinds(folder.come_to_rest()) == ["UploadNewVersion", "DeleteItem"]


def test_saved_again_in_other_letters() -> None:
    """The service takes both names for the same."""
    folder = a_folder()
    folder.rename(F, F + "~")
    folder.write("PLAN.dwg")
    (step,) = folder.come_to_rest()
    assert isinstance(step, UploadNewVersion)
    assert step.name == "PLAN.dwg"


def test_a_name_that_it_had_in_passing_does_not_count() -> None:
    folder = a_folder()
    folder.write(F)
    folder.rename(F, "b.dwg")
    folder.rename("b.dwg", F)
    folder.write("b.dwg")
    folder.rename(F, "plan.bak")
    steps = folder.come_to_rest()
    assert sorted(kinds(steps)) == ["UploadNewItem", "UploadNewVersion"]
    assert folder.live() == folder.seen


def test_a_name_with_six_letters_more_is_ordinary_unless_its_file_is_there() -> None:
    folder = a_folder("notes.txt")
    folder.write("notes.txt.aBcDeF")
    folder.write("other.txt.aBcDeF")
    assert kinds(folder.come_to_rest()) == ["UploadNewItem"]
    assert folder.live().keys() == {"notes.txt", "other.txt.aBcDeF"}


def test_a_swap_file_of_the_same_moment_makes_no_backup_of_it() -> None:
    folder = a_folder()
    folder.write(".notes.txt.swp")
    folder.rename(F, "plan.bak")
    assert kinds(folder.come_to_rest()) == ["RenameItem"]
    folder.write(".notes.txt.swp")
    folder.unlink("plan.bak")
    folder.now += 6
    assert kinds(folder.carry_out()) == ["DeleteItem"]
