"""Each call of an upload, with each fault, once, three times and always: exactly one version, or a
person is told; never two, never other bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import trio

from dmfs import errors
from dmfs.write.upload.ports import Outcome
from tests.write.upload.model import Details, Fault, Posted
from tests.write.upload.rig import BASE, DRAFT, OURS, Rig, new_item, play

CALLS = "storage urls put complete details tip new_version new_item list".split()
POSTS = {"new_version", "new_item", "storage", "complete"}


def _busy() -> errors.DriveError:
    error = errors.BusyError("429")
    error.retry_after_s = 20.0
    return error


def _other_size(answer: Any) -> Any:
    if isinstance(answer, Posted):
        return answer._replace(file=replace(answer.file, size_bytes=1))
    if isinstance(answer, Details):
        return answer._replace(size_bytes=1)
    return answer - 1 if isinstance(answer, int) else answer


def _unknown() -> errors.DriveError:
    return errors.UnknownOutcomeError("no answer")


FAULTS: dict[str, Callable[[bool], Fault]] = {
    "400": lambda post: Fault("400", lambda: errors.BadInputError("400")),
    "401": lambda post: Fault("401", lambda: errors.TokenRefusedError("401")),
    "403": lambda post: Fault("403", lambda: errors.AccessError("403")),
    "403-lock": lambda post: Fault("lock", lambda: errors.LockedError("locked by Eve")),
    "404": lambda post: Fault("404", lambda: errors.GoneError("404")),
    "409-name": lambda post: Fault("409", lambda: errors.NameTakenError("409")),
    "409-busy": lambda post: Fault("409", lambda: errors.InUseError("409")),
    "429": lambda post: Fault("429", _busy),
    "500": lambda post: Fault("500", _unknown if post else lambda: errors.UnreachableError("500")),
    "lost before": lambda post: Fault(
        "lost", _unknown if post else lambda: errors.UnreachableError("reset")
    ),
    "lost after": lambda post: Fault(
        "lost", _unknown if post else lambda: errors.UnreachableError("reset"), "done"
    ),
    "late": lambda post: Fault(
        "late", _unknown if post else lambda: errors.UnreachableError("reset"), "late"
    ),
    "stall": lambda post: Fault("stall"),
    "garbage": lambda post: Fault(
        "garbage", _unknown if post else lambda: errors.BadResponseError("?"), "done"
    ),
    "200-error": lambda post: Fault("200", lambda: errors.PartsRefusedError("error", [1]), "none"),
    "wrong size": lambda post: Fault("size", None, "done", change=_other_size),
    "offline": lambda post: Fault("offline", lambda: errors.OfflineError("no network")),
}
OF_PUT: dict[str, Fault] = {
    "403": Fault("403", lambda: errors.UrlRefusedError("expired")),
    "503": Fault("503", lambda: errors.BusyError("slow down")),
    "400": Fault("400", lambda: errors.BadResponseError("request timeout")),
    "lost before": Fault("lost", lambda: errors.UnreachableError("reset")),
    "lost after": Fault("lost", lambda: errors.UnreachableError("reset"), "done"),
    "late": Fault("late", lambda: errors.UnreachableError("reset"), "late"),
    "stall": Fault("stall"),
    "corrupt": Fault("corrupt", None, "done"),
    "wrong ETag": Fault("etag", None, "done", change=lambda etag: "a" * 32),
    "odd ETag": Fault("etag", None, "done", change=lambda etag: "0-7"),
    "no ETag": Fault("etag", None, "done", change=lambda etag: ""),
}
PASSES = {"401", "429", "500", "lost before", "lost after", "late", "stall", "garbage", "offline"}
PASSES |= {"403-lock", "409-busy", "503", "wrong ETag", "odd ETag", "no ETag", "corrupt"}
"""When they are over, the upload arrives."""
TIMES = {"once": 1, "three times": 3, "always": 0}


def cases() -> list[Any]:
    found = []
    for call in CALLS:
        faults = list(OF_PUT) if call == "put" else list(FAULTS)
        found += [(call, fault, times) for fault in faults for times in TIMES]
    return found


def the_fault(call: str, kind: str) -> Fault:
    if call == "put":
        return OF_PUT[kind]
    if kind == "200-error" and call != "complete":
        return Fault("200", lambda: errors.BadResponseError("a 200 with an error"))
    return FAULTS[kind](call in POSTS)


@pytest.mark.parametrize(("call", "kind", "times"), cases())
def test_it_arrives_once_or_a_person_is_told(call: str, kind: str, times: str) -> None:
    async def scenario(rig: Rig) -> None:
        world = rig.world
        fault = the_fault(call, kind)
        if TIMES[times]:
            world.faults[call] = [fault] * TIMES[times]
        else:
            world.always[call] = fault
        version = call in ("tip", "new_version")
        target = rig.version_of(world.add("Plan.dwg", BASE)) if version else new_item()
        if call == "list":  # it is only listed where an answer was lost
            world.faults["new_item"] = [Fault("lost", _unknown, "done")]
        outcome = await rig.upload(rig.job(target), 4 * 3600.0)
        await trio.sleep(600)  # for late effects
        check(rig, outcome)
        if times != "always" and kind in PASSES:
            assert outcome is not None
            assert outcome.kind == "posted"

    play(scenario)


def check(rig: Rig, outcome: Outcome | None) -> None:
    world = rig.world
    ours = world.with_bytes(OURS)
    assert len(ours) <= 1, "never two"
    assert {each.data for each in world.everything()} <= {BASE, OURS}, "never other bytes"
    assert world.wrongs == []
    if outcome is not None and outcome.kind == "posted":
        assert len(ours) == 1
        assert outcome.file is not None
        assert outcome.file.size_bytes == len(OURS)
        assert len(rig.posted) == 1
        assert rig.journal.rows == {}
    else:
        assert rig.posted == []
        assert DRAFT in rig.journal.rows or not rig.journal.commits
        assert rig.states[-1][1], "somebody is told why"


def test_etags_that_are_no_md5_leave_the_sha1_to_decide() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.strange_etags = True
        outcome = await rig.upload(rig.job(new_item(), OURS * 10))
        assert outcome is not None
        assert outcome.kind == "posted"
        assert max(rig.world.parts_put.values()) == 2
        assert sum(rig.world.parts_put.values()) <= 29 + 4, "one doubt is enough"

    play(scenario)


def test_neither_etags_nor_a_sha1() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.strange_etags = rig.world.no_sha1 = True
        outcome = await rig.upload(rig.job(new_item()))
        assert outcome is not None
        assert outcome.kind == "failed"
        assert rig.world.everything() == []
        assert rig.world.calls["storage"] == 4

    play(scenario)


def test_another_sha1_is_sent_again_and_then_told() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.always["details"] = Fault("sha1", None, "done", change=_other_sha1)
        outcome = await rig.upload(rig.job(new_item()))
        assert outcome is not None
        assert outcome.kind == "failed"
        assert outcome.reason == "the service has other bytes than were sent"
        assert rig.world.everything() == []

    play(scenario)


def _other_sha1(answer: Details) -> Details:
    return answer._replace(sha1="0" * 40)


def test_a_version_whose_storage_has_another_id() -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.other_storage_id = True
        item = rig.world.add("Plan.dwg", BASE)
        rig.world.faults["new_version"] = [Fault("lost", _unknown, "done")]
        outcome = await rig.upload(rig.job(rig.version_of(item)))
        assert outcome is not None
        assert outcome.kind == "posted"
        assert len(item.versions) == 2

    play(scenario)


@pytest.mark.parametrize("storage_first", [False, True])
def test_a_folder_that_lists_late(storage_first: bool) -> None:
    async def scenario(rig: Rig) -> None:
        rig.world.storage_first = storage_first
        rig.world.list_lag_s = 100.0
        rig.world.faults["new_item"] = [Fault("lost", _unknown, "done")]
        outcome = await rig.upload(rig.job(new_item()))
        assert outcome is not None
        assert outcome.kind == "posted"
        assert len(rig.world.everything()) == 1
        assert rig.world.calls["storage"] == 1

    play(scenario)


def test_a_version_of_another_size_is_for_a_person() -> None:
    async def scenario(rig: Rig) -> None:
        whole = Fault("none", None, "done")
        rig.world.faults["details"] = [whole, Fault("size", None, "done", change=_other_size)]
        rig.world.faults["new_item"] = [Fault("size", None, "done", change=_other_size)]
        outcome = await rig.upload(rig.job(new_item()))
        assert outcome is not None
        assert outcome.reason == "v1 has 1 bytes at the service, and 290 were sent"
        assert rig.posted == []

    play(scenario)
