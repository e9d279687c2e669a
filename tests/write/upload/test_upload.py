"""An upload without a fault, and what goes with it."""

from __future__ import annotations

import pytest
import trio

from dmfs.errors import (
    AccessError,
    BusyError,
    LockedError,
    OfflineError,
    SignedOutError,
    SpoolError,
    UnknownOutcomeError,
)
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority, current_priority
from dmfs.write.records import State
from dmfs.write.upload.ports import Outcome
from tests.write.upload.model import ME, OTHER, Fault, sha1
from tests.write.upload.rig import BASE, DRAFT, OURS, THEIRS, Rig, Snapshot, new_item, play


def test_a_new_file_becomes_one_item() -> None:
    async def scenario(rig: Rig) -> None:
        outcome = await rig.upload(rig.job(new_item()))
        assert outcome is not None
        assert outcome.kind == "posted"
        assert outcome.file is not None
        assert outcome.file.size_bytes == len(OURS)
        [version] = rig.world.everything()
        assert version.data == OURS
        [(draft, generation, posted, digest)] = rig.posted
        assert (draft, generation, digest) == (DRAFT, 1, sha1(OURS))
        assert posted.file == outcome.file
        assert rig.journal.rows == {}
        assert [state for state, _ in rig.states] == [State.UPLOADING, State.CLEAN]
        assert set(rig.world.parts_put.values()) == {1}

    play(scenario)


def test_a_new_version_is_one_of_the_same_item() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        outcome = await rig.upload(rig.job(rig.version_of(item)))
        assert outcome is not None
        assert outcome.kind == "posted"
        assert [each.data for each in item.versions] == [BASE, OURS]
        assert len(rig.world.items) == 1

    play(scenario)


def test_an_empty_file_goes_up_as_one_empty_part() -> None:
    async def scenario(rig: Rig) -> None:
        outcome = await rig.upload(rig.job(new_item(), b""))
        assert outcome is not None
        assert outcome.kind == "posted"
        assert rig.world.everything()[0].data == b""
        assert rig.world.calls["put"] == 1

    play(scenario)


def test_a_damaged_spool_never_goes_up() -> None:
    async def scenario(rig: Rig) -> None:
        job = rig.job(new_item())
        assert isinstance(job.snapshot, Snapshot)
        job.snapshot.damaged = True
        outcome = await rig.upload(job)
        assert outcome == Outcome("failed", None, "the spool is damaged")
        assert rig.world.everything() == []

    play(scenario)


def test_bytes_of_the_base_that_are_gone() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        job = rig.job(rig.version_of(item))
        assert isinstance(job.snapshot, Snapshot)
        job.snapshot.base_gone = True
        outcome = await rig.upload(job)
        assert outcome == Outcome("failed", None, "the bytes of v1 are gone")
        assert rig.states[-1] == (State.FAILED, "the bytes of v1 are gone")

    play(scenario)


def test_a_lock_is_waited_for_and_named() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        item.reserved_by = OTHER
        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            uploader.submit(rig.job(rig.version_of(item)))
            await trio.sleep(1000)
            [progress] = uploader.progress()
            assert (progress.state, progress.reason) == (
                State.WAITING,
                f"locked by {OTHER} Example",
            )
            assert 0 < progress.next_try_s <= 300
            assert rig.world.calls["tip"] == 4
            assert rig.world.calls["storage"] == 0
            item.reserved_by = ME
            assert (await uploader.wait(DRAFT)).kind == "posted"
        assert len(item.versions) == 2

    play(scenario)


def test_a_lock_that_comes_after_the_bytes() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        rig.world.faults["new_version"] = [Fault("lock", lambda: LockedError("locked by Eve"))] * 3
        outcome = await rig.upload(rig.job(rig.version_of(item)))
        assert outcome is not None
        assert outcome.kind == "posted"
        assert "locked by Eve" in rig.reasons
        assert rig.world.calls["complete"] == 1
        assert trio.current_time() >= 900

    play(scenario)


def test_an_upload_that_is_refused_after_its_file_was_deleted_ends() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.delay_s = 5.0
        rig.world.faults["new_item"] = [Fault("429", lambda: BusyError("429"))]
        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            uploader.submit(rig.job(new_item()))
            while not rig.world.calls["new_item"]:
                await trio.sleep(1)
            assert not uploader.cancel(DRAFT), "the call is under way"
            assert (await uploader.wait(DRAFT)).kind == "cancelled"
        assert rig.world.everything() == []
        assert rig.world.calls["new_item"] == 1
        assert rig.journal.rows == {}

    play(scenario)


def test_a_file_that_is_deleted_while_an_older_upload_is_looked_for() -> None:
    """What the older one made has to be told, or it would stay on the service."""

    async def scenario(rig: Rig) -> None:
        lost = Fault("lost", lambda: UnknownOutcomeError("no answer"), "late", late_s=20.0)
        rig.world.faults["new_item"] = [lost]
        async with trio.open_nursery() as nursery:
            rig.start(nursery).submit(rig.job(new_item()))
            await trio.sleep(5)
            nursery.cancel_scope.cancel()
        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            uploader.resume(rig.journal.rows[DRAFT], rig.job(new_item(), BASE, generation=2))
            await trio.sleep(1)
            assert not uploader.cancel(DRAFT)
            assert (await uploader.wait(DRAFT)).kind == "cancelled"
        assert [generation for _, generation, _, _ in rig.posted] == [1]
        assert [each.data for each in rig.world.everything()] == [OURS]
        assert rig.journal.rows == {}

    play(scenario)


@pytest.mark.parametrize("call", ["storage", "complete", "new_item"])
def test_a_nudge_in_the_middle_of_a_call_ends_the_pause_after_it(call: str) -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.faults[call] = [Fault("off", lambda: OfflineError("no network"))] * 8
        rig.world.delay_s = 30.0
        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            uploader.submit(rig.job(new_item()))
            while rig.world.calls[call] < 8:  # the pauses have become minutes
                await trio.sleep(1)
            uploader.nudge()
            await trio.sleep(31)
            assert uploader.progress()[0].next_try_s == 0
            assert (await uploader.wait(DRAFT)).kind == "posted"

    play(scenario)


def test_a_nudge_is_answered_by_one_try() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.always["storage"] = Fault("off", lambda: OfflineError("no network"))
        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            uploader.submit(rig.job(new_item()))
            await trio.sleep(3600)
            before = rig.world.calls["storage"]
            uploader.nudge()
            await trio.sleep(1)
            assert rig.world.calls["storage"] == before + 1
            nursery.cancel_scope.cancel()

    play(scenario)


def test_a_nudge_wakes_what_waits_for_the_network_or_a_sign_in() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.always["storage"] = Fault("off", lambda: OfflineError("no network"))
        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            uploader.submit(rig.job(new_item()))
            await trio.sleep(3600)
            assert uploader.progress()[0].reason == "offline"
            rig.world.always["storage"] = Fault("out", lambda: SignedOutError("nobody"))
            uploader.nudge()
            await trio.sleep(1)
            assert uploader.progress()[0].reason == "signed out"
            del rig.world.always["storage"]
            began = trio.current_time()
            uploader.nudge()
            assert (await uploader.wait(DRAFT)).kind == "posted"
            assert trio.current_time() - began < 5
            last = rig.states.index((State.WAITING, "signed out"))
            assert (State.UPLOADING, "") in rig.states[last:], "what is over is not told any more"

    play(scenario)


def test_cancelled_before_the_post_and_not_after() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.always["put"] = Fault("stall")
        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            uploader.submit(rig.job(new_item()))
            await trio.sleep(10)
            assert uploader.cancel(DRAFT)
            assert (await uploader.wait(DRAFT)).kind == "cancelled"
            assert rig.journal.rows == {}
            rig.world.always = {"new_item": Fault("403", lambda: AccessError("no"))}
            uploader.submit(rig.job(new_item()))
            assert (await uploader.wait(DRAFT)).kind == "failed"
            assert rig.journal.rows
            assert uploader.cancel(DRAFT)
            await trio.sleep(1)
            assert rig.journal.rows == {}
            rig.world.always["new_item"] = Fault("stall")
            uploader.submit(rig.job(new_item()))
            await trio.sleep(10)
            assert not uploader.cancel(DRAFT)
            nursery.cancel_scope.cancel()

    play(scenario)


def test_one_upload_a_draft_at_a_time() -> None:
    async def scenario(rig: Rig) -> None:
        item = rig.world.add("Plan.dwg", BASE)
        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            assert uploader.submit(rig.job(rig.version_of(item)))
            assert not uploader.submit(rig.job(rig.version_of(item), THEIRS, 2))
            first = await uploader.wait(DRAFT)
            assert first.kind == "posted"
            assert uploader.submit(rig.job(rig.version_of(item), THEIRS, 2))
            assert (await uploader.wait(DRAFT)).kind == "posted"
        assert [each.data for each in item.versions] == [BASE, OURS, THEIRS]

    play(scenario)


def test_an_upload_that_hangs_blocks_only_itself() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.faults["put"] = [Fault("stall")]
        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            uploader.submit(rig.job(new_item("slow.dwg"), b"1"))
            await trio.sleep(1)
            other = rig.job(new_item("quick.dwg"), b"2")
            draft = type(other.draft)(type(DRAFT)("e" * 32), other.target.place, "k", "owner")
            began = trio.current_time()
            uploader.submit(type(other)(draft, other.target, other.snapshot, other.read_base))
            assert (await uploader.wait(draft.id)).kind == "posted"
            assert trio.current_time() - began < 5
            assert (await uploader.wait(DRAFT)).kind == "posted"

    play(scenario)


def test_the_rest_of_the_drive_is_told_until_it_listens() -> None:
    async def scenario(rig: Rig) -> None:
        rig.on_posted_error = [SpoolError("the disk is full")] * 3
        outcome = await rig.upload(rig.job(new_item()))
        assert outcome is not None
        assert outcome.kind == "posted"
        assert len(rig.posted) == 1
        assert len(rig.world.everything()) == 1

    play(scenario)


def test_a_session_that_ends_begins_anew() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.always["put"] = Fault("stall")
        job = rig.job(new_item())
        assert await rig.upload(job, 50) is None
        rig.world.always.clear()
        await trio.sleep(25 * 3600)
        outcome = await rig.upload(job)
        assert outcome is not None
        assert outcome.kind == "posted"
        assert rig.world.calls["storage"] == 2
        assert len(rig.world.everything()) == 1

    play(scenario)


def test_before_the_end_answers_are_waited_for_and_nothing_begins() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.delay_s = 2.0
        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            uploader.submit(rig.job(new_item()))
            while not rig.world.calls["new_item"]:
                await trio.sleep(0.1)
            began = trio.current_time()
            await uploader.finish(20)
            assert trio.current_time() - began <= 2.2
            assert (await uploader.wait(DRAFT)).kind == "posted"
            uploader.submit(rig.job(new_item("later.dwg"), THEIRS, 2))
            await trio.sleep(100)
            assert rig.world.calls["storage"] == 1
            nursery.cancel_scope.cancel()

    play(scenario)


def test_calls_are_as_urgent_as_an_upload_is_whoever_ordered_it() -> None:
    async def scenario(rig: Rig) -> None:
        seen = set()
        rig.world.at_call[1] = [lambda: seen.add(current_priority().level)]
        rig.world.at_call[4] = [lambda: seen.add(current_priority().level)]
        with at_priority(RequestPriority(Priority.LOOKUP)):
            assert await rig.upload(rig.job(new_item()))
        assert seen == {Priority.WRITE}

    play(scenario)


def test_nobody_uploads_what_another_wrote() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.before["complete"] = [lambda: setattr(rig, "signed_in", "another")]
        async with trio.open_nursery() as nursery:
            uploader = rig.start(nursery)
            uploader.submit(rig.job(new_item()))
            await trio.sleep(1000)
            assert uploader.progress()[0].reason == "signed out"
            assert rig.world.everything() == []
            rig.signed_in = "owner"
            uploader.nudge()
            assert (await uploader.wait(DRAFT)).kind == "posted"

    play(scenario)
