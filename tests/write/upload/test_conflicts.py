"""Nothing that others wrote is overwritten unseen, and nothing of ours is lost."""

from __future__ import annotations

from dataclasses import replace

import trio

from dmfs.errors import AccessError, BadInputError, BusyError, UnknownOutcomeError
from dmfs.model import ProjectId
from dmfs.write.records import NewVersion, State
from dmfs.write.upload.ports import Outcome
from tests.write.upload.model import ME, OTHER, Fault, Tip
from tests.write.upload.rig import BASE, DRAFT, OURS, PLACE, THEIRS, Rig, new_item, play


def _lost(effect: str = "none", late_s: float = 30.0) -> Fault:
    return Fault("lost", lambda: UnknownOutcomeError("no answer"), effect, late_s)


async def _go(rig: Rig, *args: object) -> Outcome:
    outcome = await rig.upload(rig.job(*args))  # type: ignore[arg-type]
    assert outcome is not None
    assert rig.world.wrongs == []
    return outcome


def test_somebody_elses_version_keeps_the_name_and_ours_goes_beside() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        target = rig.version_of(item)
        rig.world.other_writes(item, THEIRS)
        outcome = await _go(rig, target)
        assert outcome.kind == "conflict"
        assert outcome.reason == f"{OTHER} made v2 of it meanwhile"
        assert [each.data for each in item.versions] == [BASE, THEIRS]
        assert outcome.file is not None
        assert outcome.file.name == "Plan (conflict 1).dwg"
        assert rig.world.items[outcome.file.item_id].tip.data == OURS
        assert rig.world.calls["storage"] == 1, "what went up already is used"
        assert rig.states[-1][0] is State.CONFLICT
        assert "conflict" in rig.kinds()

    play(scenario)


def test_the_same_bytes_are_no_conflict() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        target = rig.version_of(item)
        rig.world.other_writes(item, OURS)
        outcome = await _go(rig, target)
        assert outcome.kind == "same"
        assert outcome.file is not None
        assert outcome.file.version_number == 2
        assert len(rig.world.everything()) == 2
        assert len(rig.posted) == 1

    play(scenario)


def test_a_writer_between_the_look_and_the_post_stays_in_sight() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        rig.world.before["new_version"] = [lambda: rig.world.other_writes(item, THEIRS)]
        outcome = await _go(rig, rig.version_of(item))
        assert outcome.kind == "posted"
        assert [each.data for each in item.versions] == [BASE, THEIRS, OURS]
        [copy] = [each for each in rig.world.items.values() if each.id != item.id]
        assert (copy.tip.data, copy.tip.name) == (THEIRS, f"Plan (v2 by {OTHER}).dwg")
        overtook = dict(rig.events)["overtook"]
        assert (overtook["number"], overtook["who"]) == (2, OTHER)

    play(scenario)


def test_a_copy_whose_answer_is_lost_is_made_once() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        rig.world.before["new_version"] = [lambda: rig.world.other_writes(item, THEIRS)]
        rig.world.faults["copy"] = [_lost("done"), _lost("done")]
        await _go(rig, rig.version_of(item))
        assert len(rig.world.items) == 2

    play(scenario)


def test_a_teams_project_has_no_copies_and_says_so() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        rig.world.project = ProjectId("a.p")
        rig.world.before["new_version"] = [lambda: rig.world.other_writes(item, THEIRS)]
        await _go(rig, rig.version_of(item))
        assert dict(rig.events)["overtook"]["beside"] == ""
        assert len(rig.world.items) == 1

    play(scenario)


def test_ours_that_was_posted_and_overtaken_before_its_answer_was_looked_for() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        rig.world.faults["new_version"] = [_lost("done")]
        rig.world.before["tip"] = []
        target = rig.version_of(item)

        async def later() -> None:
            while len(item.versions) < 2:
                await trio.sleep(0.1)
            rig.world.other_writes(item, THEIRS)

        rig.world.delay_s = 0.5
        rig.world.nursery.start_soon(later)
        outcome = await _go(rig, target)
        assert outcome.kind == "posted"
        assert [each.data for each in item.versions] == [BASE, OURS, THEIRS]
        assert len(rig.world.items) == 1, "no copy: it is in the item's history"

    play(scenario)


def test_a_late_post_under_somebody_elses_version_is_not_doubled() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        rig.world.faults["new_version"] = [_lost("late", 25.0)]
        target = rig.version_of(item)
        job = rig.job(target)

        async def other() -> None:
            while rig.world.calls["new_version"] < 1:
                await trio.sleep(0.1)
            await trio.sleep(5)
            rig.world.other_writes(item, THEIRS)

        rig.world.nursery.start_soon(other)
        outcome = await rig.upload(job)
        assert outcome is not None
        assert len(rig.world.with_bytes(OURS)) == 1
        assert len(rig.world.with_bytes(THEIRS)) >= 1

    play(scenario)


def test_an_item_that_was_deleted_becomes_a_new_one() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        target = rig.version_of(item)
        rig.world.before["new_version"] = [lambda: setattr(item, "hidden", True)]
        outcome = await _go(rig, target)
        assert outcome.kind == "posted"
        assert outcome.file is not None
        assert outcome.file.item_id != item.id
        assert outcome.file.name == "Plan.dwg"
        assert len(item.versions) == 1, "never a version on a tombstone"

    play(scenario)


def test_a_folder_that_was_deleted_is_told() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.before["new_item"] = [lambda: setattr(rig.world, "folder_gone", True)]
        outcome = await _go(rig, new_item())
        assert (outcome.kind, outcome.reason) == ("failed", "the folder was deleted")
        assert rig.journal.rows, "its bytes wait for a person"

    play(scenario)


def test_a_hidden_folder_answers_403() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.always["new_item"] = Fault("403", lambda: AccessError("no permission"))
        outcome = await _go(rig, new_item())
        assert outcome.reason == "no permission"
        rig.world.folder_gone = True
        outcome = await _go(rig, new_item())
        assert outcome.reason == "the folder was deleted"

    play(scenario)


def test_a_name_that_somebody_else_took() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.add("Plan.dwg", THEIRS)
        outcome = await _go(rig, new_item())
        assert outcome.kind == "conflict"
        assert {each.tip.name for each in rig.world.live()} == {"Plan.dwg", "Plan (conflict 1).dwg"}

    play(scenario)


def test_a_name_in_another_case_is_for_a_person() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.add("PLAN.dwg", THEIRS)
        outcome = await _go(rig, new_item())
        assert (outcome.kind, outcome.reason) == ("failed", 'name taken by "PLAN.dwg"')

    play(scenario)


def test_the_same_file_made_on_two_machines() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.add("Plan.dwg", OURS)
        outcome = await _go(rig, new_item())
        assert outcome.kind == "same"
        assert len(rig.world.items) == 1

    play(scenario)


def test_an_item_that_somebody_renamed_keeps_its_new_name() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        target = rig.version_of(item)
        renamed = replace(item.tip, number=2, name="Entwurf.dwg")
        item.versions.append(renamed)  # as a b. project renames: the same bytes once more
        outcome = await _go(rig, target)
        assert outcome.kind == "posted"
        assert [each.name for each in item.versions] == ["Plan.dwg", "Entwurf.dwg", "Entwurf.dwg"]
        assert item.tip.data == OURS

    play(scenario)


def test_an_item_that_was_renamed_to_another_kind_gets_another_storage() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        target = rig.version_of(item)
        rig.world.before["new_version"] = []
        item.versions[0] = replace(item.tip, name="Plan.pdf")  # in place, as an a. project does
        outcome = await _go(rig, target)
        assert outcome.kind == "posted"
        assert item.tip.name == "Plan.pdf"
        assert rig.world.calls["storage"] == 2

    play(scenario)


def test_a_version_with_another_name_is_one_post() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        target = NewVersion(PLACE.named("Neu.dwg"), rig.world.base(item), "Neu.dwg")
        outcome = await _go(rig, target)
        assert outcome.kind == "posted"
        assert [each.name for each in item.versions] == ["Plan.dwg", "Neu.dwg"]

    play(scenario)


def test_a_storage_that_was_used_already_is_looked_for() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        rig.world.faults["new_version"] = [_lost("late", 60.0)]
        outcome = await _go(rig, rig.version_of(item))
        await trio.sleep(600)
        assert outcome.kind == "posted"
        assert [each.data for each in item.versions] == [BASE, OURS]

    play(scenario)


def test_a_storage_that_the_service_never_takes_is_told() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.always["new_item"] = Fault("400", lambda: BadInputError("not like this"))
        outcome = await _go(rig, new_item())
        assert (outcome.kind, outcome.reason) == ("failed", "not like this")
        assert rig.world.calls["storage"] == 2

    play(scenario)


def test_my_own_lock_is_in_nobodys_way() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        item.reserved_by = ME
        assert (await _go(rig, rig.version_of(item))).kind == "posted"

    play(scenario)


def test_the_next_generation_after_a_conflict_belongs_to_the_copy() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        target = rig.version_of(item)
        rig.world.other_writes(item, THEIRS)
        rig.kill_at = ("adopt.call.before", 0)
        try:
            async with trio.open_nursery() as nursery:
                rig.start(nursery).submit(rig.job(target))
        except* BaseException:  # noqa: BLE001 - killed
            pass
        outcome = await rig.upload(rig.job(target, b"newer", 2))
        assert outcome is not None
        assert outcome.kind == "posted"
        assert [each.data for each in item.versions] == [BASE, THEIRS]
        assert outcome.file is not None
        copy = rig.world.items[outcome.file.item_id]
        assert [each.data for each in copy.versions] == [OURS, b"newer"]
        assert copy.tip.name == "Plan (conflict 1).dwg"

    play(scenario)


def test_an_item_that_is_said_to_be_gone_and_is_listed_is_asked_for_again() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        target = rig.version_of(item)
        rig.world.faults["tip"] = [
            Fault("gone", None, "none", change=lambda _: Tip(None, "", False, ""))
        ] * 3
        outcome = await _go(rig, target)
        assert outcome.kind == "posted"
        assert [each.data for each in item.versions] == [BASE, OURS]
        assert len(rig.world.items) == 1

    play(scenario)


def test_a_lost_answer_is_looked_for_at_once() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        rig.world.faults["new_version"] = [_lost("done")]
        await _go(rig, rig.version_of(item))
        assert trio.current_time() < 1

    play(scenario)


def test_a_refusal_says_nothing_of_the_post_before_it() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        rig.world.faults["new_version"] = [_lost("late", 3000.0)]
        rig.world.always["new_version"] = Fault("429", lambda: BusyError("429"))
        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            uploader.submit(rig.job(rig.version_of(item)))
            await trio.sleep(100)
            assert rig.world.calls["new_version"] >= 2
            assert not uploader.cancel(DRAFT), "the first may still arrive"
            assert (await uploader.wait(DRAFT)).kind == "posted"
        assert [each.data for each in item.versions] == [BASE, OURS]

    play(scenario)


def test_other_bytes_of_the_same_length_are_a_conflict() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        target = rig.version_of(item)
        rig.world.other_writes(item, bytes(len(OURS)))
        assert (await _go(rig, target)).kind == "conflict"

    play(scenario)


def test_a_rename_that_copies_the_bytes_is_none_either() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        target = rig.version_of(item)
        rig.world.other_writes(item, BASE)
        item.versions[1] = replace(item.tip, name="Entwurf.dwg")
        outcome = await _go(rig, target)
        assert outcome.kind == "posted"
        assert [each.data for each in item.versions] == [BASE, BASE, OURS]
        assert item.tip.name == "Entwurf.dwg"

    play(scenario)


def test_a_save_without_a_change_is_no_version() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", OURS)
        outcome = await _go(rig, rig.version_of(item))
        assert outcome.kind == "same"
        assert outcome.file is not None
        assert outcome.file.version_number == 1
        assert len(item.versions) == 1
        assert len(rig.posted) == 1
        renamed = NewVersion(PLACE, rig.world.base(item), "Neu.dwg")
        rig.posted.clear()
        assert (await _go(rig, renamed)).kind == "posted"
        assert [each.name for each in item.versions] == ["Plan.dwg", "Neu.dwg"]

    play(scenario)


def test_a_new_file_that_somebody_saved_on_before_its_answer_was_looked_for() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.faults["new_item"] = [_lost("done")]

        def save() -> None:
            [item] = rig.world.live()
            rig.world.other_writes(item, THEIRS)

        rig.world.before["list"] = [save]
        outcome = await _go(rig, new_item())
        assert outcome.kind == "posted"
        [item] = rig.world.items.values()
        assert [each.data for each in item.versions] == [OURS, THEIRS]

    play(scenario)
