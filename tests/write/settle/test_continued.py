"""What a draft goes on with that was not opened from it."""

from __future__ import annotations

from tests.write.settle.model import F, a_folder


def test_what_a_draft_goes_on_with_is_what_the_upload_makes_it() -> None:
    """A save by another name, also where the file was moved aside or deleted first; until it is
    seen nowhere else."""
    for save in ("over", "aside", "anew"):
        folder = a_folder()
        (item,) = folder.listing().values()
        if save == "over":
            folder.write("new.tmp")
            assert folder.names.continued("new.tmp") is None
            folder.rename("new.tmp", F)
        elif save == "aside":
            folder.rename(F, "aside.bak")
            folder.write(F)
            assert folder.names.continued(F) is None
            folder.unlink("aside.bak")
        else:
            folder.unlink(F)
            assert folder.names.continued(F) is None
            folder.write(F)
        assert folder.names.continued(F) == item, save
        folder.now += 600
        folder.come_to_rest()
        assert folder.listing()[F].item_id == item.item_id, save
        assert folder.names.continued(F) is None


def test_a_draft_that_was_opened_from_a_version_or_is_new_goes_on_with_no_other() -> None:
    folder = a_folder(F, "b.dwg")
    folder.write(F)
    folder.write("new.dwg")
    folder.rename(F, "b.dwg")
    for name in (F, "b.dwg", "new.dwg", "nothing.dwg"):
        assert folder.names.continued(name) is None
    folder.write("c.dwg")
    folder.rename("c.dwg", F)
    assert folder.names.continued(F) is None  # it is seen as b.dwg


def test_what_the_service_has_deleted_is_gone_on_with_by_nobody() -> None:
    """Also while a late listing shows it still."""
    folder = a_folder()
    before = folder.listing()
    folder.unlink(F)
    folder.now += 600
    folder.come_to_rest()
    assert folder.listing() == {}
    folder.write(F)
    assert folder.names.continued(F) is None
    folder.names.see(before, folder.now + 1)
    assert folder.names.continued(F) is None
