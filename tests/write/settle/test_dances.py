"""Saving as programs do it: one version of the same item, and no other."""

from __future__ import annotations

import pytest

from tests.write.settle.model import F, Folder, a_folder, kinds


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


def test_cut_in_the_second_save_of_a_row() -> None:
    """The backup of the first is gone, that of the second is all that is left."""
    folder = a_folder()
    (item_id,) = folder.service
    folder.rename(F, F + "~")
    folder.write(F)
    folder.unlink(F + "~")
    folder.rename(F, F + "~")
    assert folder.come_to_rest() == []
    assert folder.service[item_id].alive
    folder.unlink(F + "~")
    assert kinds(folder.come_to_rest()) == ["DeleteItem"]
