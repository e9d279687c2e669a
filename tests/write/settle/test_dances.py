"""Saving as programs do it, and what people do with names: what becomes of it on the service."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dmfs.write.settle.plan import (
    HoldDeletes,
    KeepLocal,
    RenameItem,
    Rules,
    Step,
    UploadNewVersion,
)
from tests.write.settle.model import Folder

F = "plan.dwg"


def a_folder(*names: str, **more) -> Folder:
    folder = Folder(**more)
    folder.put(*(names or (F,)))
    return folder


def kinds(steps: list[Step]) -> list[str]:
    return [type(each).__name__ for each in steps]


def one_version(folder: Folder, name: str = F) -> None:
    """Exactly one version of the item of that name, and nothing else."""
    before = {id_: len(each.versions) for id_, each in folder.service.items()}
    steps = folder.come_to_rest()
    assert kinds(steps) == ["UploadNewVersion"]
    assert set(before) == set(folder.service)
    assert folder.live()[name] == folder.seen[name]


def test_in_place() -> None:
    folder = a_folder()
    folder.write(F)
    one_version(folder)


def test_renamed_over() -> None:
    folder = a_folder()
    folder.write("lu1234ab.tmp")
    folder.rename("lu1234ab.tmp", F)
    one_version(folder)


def test_renamed_away_and_created_anew() -> None:
    """vim; with its backup option the backup stays."""
    folder = a_folder()
    folder.rename(F, F + "~")
    folder.write(F)
    one_version(folder)
    assert folder.content_of(F + "~") == folder.seen[F + "~"]
    assert folder.plan().reasons == {F + "~": "a backup file of vim, emacs, gedit, KDE"}


def test_the_backup_goes_before_the_folder_settles() -> None:
    folder = a_folder()
    folder.rename(F, F + "~")
    folder.write(F)
    folder.unlink(F + "~")
    one_version(folder)


def test_saved_twice_while_the_first_is_on_its_way() -> None:
    folder = a_folder()
    folder.write(F)
    folder.now += 6
    (step,) = folder.plan().steps
    folder.begin(step)
    folder.rename(F, F + "~")
    folder.write(F)
    folder.answer()
    folder.unlink(F + "~")
    one_version(folder)


def test_unlinked_and_created_anew() -> None:
    """tar, unzip, perl -i."""
    folder = a_folder()
    folder.unlink(F)
    folder.write(F)
    one_version(folder)


def test_unlinked_and_renamed() -> None:
    """zip."""
    folder = a_folder("a.zip")
    folder.write("ziAbC12d")
    folder.unlink("a.zip")
    folder.rename("ziAbC12d", "a.zip")
    one_version(folder, "a.zip")


def autocad(folder: Folder) -> list:
    """The save of a drawing that has a backup already, as steps."""
    return [
        lambda: folder.write("sav1A2B.tmp"),
        lambda: folder.write("acad7.tmp"),
        lambda: folder.unlink("plan.bak") if "plan.bak" in folder.seen else None,
        lambda: folder.rename(F, "plan.bak"),
        lambda: folder.rename("acad7.tmp", F),
        lambda: folder.unlink("sav1A2B.tmp"),
    ]


@pytest.mark.parametrize("saves", [1, 2, 3])
def test_autocad(saves: int) -> None:
    folder = a_folder()
    for _ in range(saves):
        for act in autocad(folder):
            act()
            folder.now += 0.2
        one_version(folder)
    assert set(folder.live()) == {F}
    assert set(folder.seen) == {F, "plan.bak"}


@pytest.mark.parametrize("cut", range(7))
@pytest.mark.parametrize("before", [False, True])
def test_autocad_cut_at_any_point(cut: int, before: bool) -> None:
    """The service has the drawing under its name, whatever is left here."""
    folder = a_folder()
    if before:
        for act in autocad(folder):
            act()
        folder.come_to_rest()
    (item_id,) = folder.service
    for act in autocad(folder)[:cut]:
        act()
        folder.now += 0.2
        assert not folder.carry_out() or kinds(folder.log[-1:]) == ["KeepLocal"]
    for _ in range(20):
        folder.now += 3
        folder.carry_out()
        assert folder.service[item_id].alive
        assert folder.service[item_id].name == F
    folder.come_to_rest()
    assert folder.service[item_id].name == F
    assert folder.service[item_id].alive
    if cut >= 5:
        assert folder.live()[F] == folder.seen[F]
    if cut == 4:
        assert set(folder.live()) == {F}, "what the program left behind is no file of its own"


def test_office() -> None:
    folder = a_folder("a.docx")
    folder.write("~$a.docx")
    folder.write("1A2B3C4D.tmp")
    folder.rename("a.docx", "5E6F7A8B.tmp")
    folder.rename("1A2B3C4D.tmp", "a.docx")
    folder.unlink("5E6F7A8B.tmp")
    one_version(folder, "a.docx")


def test_freecad_keeps_backups() -> None:
    folder = a_folder("a.FCStd")
    for save in range(3):
        temporary = "a.FCStd.01234567-89ab-cdef-0123-456789abcdef"
        folder.write(temporary)
        folder.rename("a.FCStd", f"a.2026050{save}-120000.FCBak")
        folder.rename(temporary, "a.FCStd")
        one_version(folder, "a.FCStd")
    assert set(folder.live()) == {"a.FCStd"}


def test_blender_counts_its_backups() -> None:
    folder = a_folder("a.blend")
    for _ in range(3):
        folder.write("a.blend@")
        if "a.blend1" in folder.seen:
            folder.rename("a.blend1", "a.blend2")
        folder.rename("a.blend", "a.blend1")
        folder.rename("a.blend@", "a.blend")
        one_version(folder, "a.blend")
    assert set(folder.live()) == {"a.blend"}


def test_a_backup_that_is_a_copy() -> None:
    folder = a_folder()
    folder.write("plan.bak")
    folder.now += 1
    folder.write(F)
    one_version(folder)


def test_a_backup_renamed_back() -> None:
    """Nothing happened."""
    folder = a_folder()
    folder.rename(F, F + "~")
    folder.rename(F + "~", F)
    assert folder.come_to_rest() == []
    assert not folder.names


@pytest.mark.parametrize("kind", ["a", "b"])
def test_a_backup_put_in_place_of_the_new_version(kind: str) -> None:
    folder = a_folder(kind=kind)
    old = folder.seen[F]
    folder.rename(F, F + "~")
    folder.write(F)
    folder.come_to_rest()
    folder.rename(F + "~", F)
    assert kinds(folder.come_to_rest()) == ["MakeDraft", "UploadNewVersion"]
    assert folder.live() == {F: old}


# What people do


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
    assert KeepLocal("plan old.dwg", folder.names.at("plan old.dwg")) in folder.log or any(
        isinstance(each, KeepLocal) and each.place == "plan old.dwg" for each in folder.log
    )


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
    folder = a_folder(kind="a")
    folder.unlink(F)
    assert folder.come_to_rest() == []
    assert F in folder.live()
    assert "cannot delete" in folder.plan().reasons[F]


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


# When


def test_an_empty_file_waits_longer() -> None:
    folder = a_folder()
    folder.write("new.dwg", size_bytes=0)
    folder.now += 29
    plan = folder.plan()
    assert plan.steps == []
    assert plan.reasons == {"new.dwg": "it is empty yet"}
    assert plan.next_look_at == pytest.approx(folder.now + 1)
    folder.now += 2
    assert kinds(folder.carry_out()) == ["UploadNewItem"]


def change(folder: Folder, draft: str, **fields) -> None:
    folder.drafts[draft] = replace(folder.drafts[draft], **fields)  # type: ignore[index]


def test_an_open_file_waits_for_its_close() -> None:
    folder = a_folder()
    draft = folder.write(F)
    change(folder, draft, open_writers=1)
    folder.now += 100_000
    assert folder.plan().steps == []
    assert folder.plan().reasons == {F: "open for writing"}
    assert folder.plan().next_look_at is None


def test_a_file_that_stays_open_goes_up_ten_minutes_after_an_fsync() -> None:
    folder = a_folder()
    draft = folder.write(F)
    change(folder, draft, open_writers=1, synced_at=folder.now)
    folder.now += 599
    assert folder.plan().steps == []
    assert folder.plan().next_look_at == pytest.approx(folder.now + 1)
    folder.now += 1
    assert kinds(folder.carry_out()) == ["UploadNewVersion"]


def test_another_open_file_delays_by_a_minute_at_most() -> None:
    folder = a_folder()
    change(folder, folder.write("video.mp4"), open_writers=1)
    folder.write(F)
    folder.now += 59
    assert folder.plan().steps == []
    assert folder.plan().next_look_at == pytest.approx(folder.now + 1)
    folder.now += 1
    assert kinds(folder.carry_out()) == ["UploadNewVersion"]


def test_a_swap_file_delays_nothing() -> None:
    folder = a_folder()
    folder.write(F)
    folder.now += 4.9
    change(folder, folder.write(f".{F}.swp"), open_writers=1)
    folder.now += 0.2
    assert kinds(folder.carry_out()) == ["KeepLocal", "UploadNewVersion"]


def test_one_version_a_minute_and_the_last_one_always() -> None:
    folder = a_folder(rules=Rules())
    folder.write(F)
    folder.now += 6
    assert kinds(folder.carry_out()) == ["UploadNewVersion"]
    folder.write("lu9z8y7x.tmp")
    folder.rename("lu9z8y7x.tmp", F)
    folder.now += 30
    plan = folder.plan()
    assert plan.steps == []
    assert plan.next_look_at == pytest.approx(folder.now + 30)
    folder.now += 31
    assert kinds(folder.carry_out()) == ["UploadNewVersion"]


def test_what_waits_for_a_person_holds_up_nothing_else() -> None:
    folder = a_folder()
    change(folder, folder.write(F), on_hold="refused: no permission")
    folder.write("b.dwg")
    folder.now += 6
    assert kinds(folder.carry_out()) == ["UploadNewItem"]
    assert folder.plan().reasons == {F: "refused: no permission"}


def test_a_folder_that_is_not_made_yet() -> None:
    folder = a_folder()
    folder.write(F)
    state = replace(folder.names.state("b", folder.drafts), made_folder=False)
    from dmfs.write.settle.plan import settle

    plan = settle(state, folder.now + 10, folder.rules)
    assert plan.steps == []
    assert plan.reasons == {F: "the folder is not made yet"}


def test_a_folder_that_stays_here() -> None:
    folder = Folder()
    folder.write("HEAD")
    state = folder.names.state("b", folder.drafts, local=True)
    from dmfs.write.settle.plan import settle

    plan = settle(state, folder.now + 10, folder.rules)
    assert kinds(list(plan.steps)) == ["KeepLocal"]


def test_a_temporary_name_that_a_person_uses_goes_up() -> None:
    folder = a_folder()
    folder.write("notes.tmp")
    folder.now += 20
    assert folder.carry_out() == []
    folder.now += 11
    assert kinds(folder.carry_out()) == ["UploadNewItem"]


def test_the_services_own_spelling_is_posted() -> None:
    """Not the one that the mount made of it."""
    folder = a_folder("a/b.dwg")
    item = folder.item(next(iter(folder.service)))
    folder.names.see({"a／b.dwg": item}, folder.now)
    folder.seen = {"a／b.dwg": 2}
    folder.write("a／b.dwg")
    (step,) = folder.come_to_rest()
    assert isinstance(step, UploadNewVersion)
    assert (step.place, step.name) == ("a／b.dwg", "a/b.dwg")
