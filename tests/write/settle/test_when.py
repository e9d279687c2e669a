"""When a plan is due, and what it waits for."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dmfs.model import ItemId, VersionId
from dmfs.write.records import Base
from dmfs.write.settle.plan import (
    Item,
    NameState,
    Rules,
    UploadNewVersion,
    settle,
)
from dmfs.write.settle.quiet import Quiet
from tests.support.helpers import a_file
from tests.write.settle.model import F, Folder, a_folder, kinds


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
    plan = settle(state, folder.now + 10, folder.rules)
    assert plan.steps == []
    assert plan.reasons == {F: "the folder is not made yet"}


def test_a_folder_that_stays_here() -> None:
    folder = Folder()
    folder.write("HEAD")
    state = folder.names.state("b", folder.drafts, local=True)
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


def test_a_save_comes_to_rest_as_a_whole() -> None:
    """In a busy folder, where each goes up by itself."""
    state = Folder().names.state("b", {})
    item = Item(ItemId("i"), VersionId("i?version=1"), F)

    def name(name: str, touched_at: float, *partners: str) -> NameState:
        return NameState(name, clean=item, touched_at=touched_at, partners=frozenset(partners))

    names = [name("a", 90.0, "b"), name("b", 99.0, "a"), name("c", 90.0), name("d", 99.0)]
    state = replace(state, names={each.name: each for each in names})
    quiet = Quiet(state, (), 100.0, Rules())
    assert {each for each, rest in quiet.of.items() if rest.ready} == {"c"}
    assert Quiet(state, (), 104.0, Rules()).of["a"].ready


def test_a_rename_connects_two_names() -> None:
    folder = a_folder()
    folder.rename(F, "b.dwg")
    folder.rename("b.dwg", "c.dwg")
    names = folder.names.state("b", {}).names
    assert (
        Quiet(folder.names.state("b", {}), (), 0.0, Rules()).group[F]
        == Quiet(folder.names.state("b", {}), (), 0.0, Rules()).group["c.dwg"]
    )
    assert set(names) == {F, "c.dwg"}


def test_an_item_is_made_of_a_file_and_of_what_a_draft_was_opened_from() -> None:
    file = replace(a_file(F, 10), version_number=7)
    assert Item.of(file) == Item(file.item_id, file.version_id, F, 7)
    assert Item.of_base(Base.of(file, 10)) == Item.of(file)


def test_an_interval_of_hours_holds_although_the_folder_is_listed() -> None:
    folder = a_folder()
    rules = Rules(version_interval_s=7200.0)
    folder.write(F)
    folder.now += 10
    folder.carry_out()
    for _ in range(2):
        folder.now += 1000
        folder.look()
    folder.write(F)
    folder.now += 100
    plan = settle(folder.names.state("b", folder.drafts), folder.now, rules)
    assert plan.steps == []
    assert plan.reasons == {F: "one version in 7200 s at most"}
    assert plan.next_look_at == pytest.approx(folder.now + 7200 - 2100)


def test_a_listing_of_unknown_age_is_better_than_none() -> None:
    """After a restart of the machine without a network."""
    folder = Folder()
    folder.names.see({F: Item(ItemId("i"), VersionId("v"), F, 1)}, float("-inf"))
    folder.names.unlink(F, 1.0)
    assert folder.names.at(F) is None
