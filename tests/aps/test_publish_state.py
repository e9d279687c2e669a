"""GetPublishModelJob: its answers as states, asked once a minute, and of models alone."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from dmfs.aps.client import Aps
from dmfs.aps.questions.publish_state import (
    ANSWER_S,
    REMEMBERED_S,
    Publication,
    PublishState,
    PublishStates,
    decode_moments,
    decode_state,
)
from dmfs.errors import AccessError, DeadlineError, DriveError, OfflineError, SignedOutError
from dmfs.http.json_client import Call
from dmfs.model import File, FolderId, HubId, ItemId, ProjectId, Root, Shortcut, StorageId
from tests.support.helpers import virtual

MODEL_TYPE = "versions:autodesk.bim360:C4RModel"


def model(**more: Any) -> File:
    values: dict[str, Any] = {
        "item_id": ItemId("urn:i"), "version": "urn:v?version=1", "storage_id": StorageId("urn:s"),
        "folder_id": FolderId("urn:f"), "project_id": ProjectId("b.1"), "hub_id": HubId("b.2"),
        "name": "Tower.rvt", "size_bytes": 1, "extension_type": MODEL_TYPE,
    }  # fmt: skip
    return File(**(values | more))


def answer(status: str | None) -> dict[str, Any]:
    if status is None:
        return {"jsonapi": {"version": "1.0"}, "data": None}
    return {"data": {"type": "commands", "attributes": {"status": status}}}


class Service:
    """Answers each question in turn."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[Call] = []

    async def request(self, call: Call, decode: Callable[[Any], Any]) -> Any:
        self.calls.append(call)
        await trio.lowlevel.checkpoint()
        given = self.answers.pop(0)
        if given == "silence":
            await trio.sleep_forever()
        if isinstance(given, DriveError):
            raise given
        return decode(given)

    def states(self) -> PublishStates:
        return PublishStates(cast(Aps, SimpleNamespace(service=self)))


def refusal(status: int) -> AccessError:
    error = AccessError("no")
    error.status = status
    return error


@pytest.mark.parametrize(
    ("given", "state"),
    [
        (answer(None), PublishState.NEEDS_PUBLISHING),
        (answer("complete"), PublishState.PUBLISHED),
        (answer("COMPLETE"), PublishState.PUBLISHED),
        (answer("processing"), PublishState.PUBLISHING),
        (answer("committed"), PublishState.PUBLISHING),
        (answer("failed"), PublishState.FAILED),
        (answer("sideways"), PublishState.UNKNOWN),
        ({}, PublishState.UNKNOWN),
        ({"data": []}, PublishState.UNKNOWN),
    ],
)
def test_states(given: dict[str, Any], state: PublishState) -> None:
    assert decode_state(given) is state


@virtual
async def test_one_question_a_minute_for_each_model() -> None:
    service = Service(answer(None), answer("complete"), answer("processing"))
    states = service.states()
    for _ in range(3):
        assert await states.of(model()) is PublishState.NEEDS_PUBLISHING
    other = model(item_id=ItemId("urn:other"))
    assert await states.of(other) is PublishState.PUBLISHED
    assert len(service.calls) == 2
    await trio.sleep(REMEMBERED_S + 1)
    assert await states.of(model()) is PublishState.PUBLISHING
    call = service.calls[0]
    assert (call.route, call.method, call.path) == (
        "commands", "POST", "/data/v1/projects/b.1/commands",
    )  # fmt: skip
    assert call.json is not None
    assert call.json["data"]["relationships"]["resources"]["data"] == [
        {"type": "items", "id": "urn:i"}
    ]


@virtual
async def test_who_looks_at_once_shares_the_answer() -> None:
    service = Service(answer(None))
    states, found = service.states(), list[PublishState | None]()

    async def look() -> None:
        found.append(await states.of(model()))

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(look)
    assert found == [PublishState.NEEDS_PUBLISHING] * 5
    assert states._locks == {}


@virtual
async def test_what_is_never_published_costs_no_call() -> None:
    service = Service()
    for node in (Root(), model(extension_type="versions:autodesk.bim360:File")):
        assert await service.states().of(node) is None
        assert await service.states().publication(node) is None
    assert service.calls == []


@virtual
async def test_a_model_without_bytes_is_one_too() -> None:
    shortcut = Shortcut(
        ItemId("urn:i"), None, FolderId("urn:f"), ProjectId("b.1"), HubId("b.2"), "M.rvt.url", b"",
        extension_type="items:autodesk.bim360:C4RModel",
    )  # fmt: skip
    assert await Service(answer(None)).states().of(shortcut) is PublishState.NEEDS_PUBLISHING


@virtual
async def test_a_refusal_is_unknown_and_remembered() -> None:
    for status in (400, 403, 404):
        service = Service(refusal(status))
        states = service.states()
        assert await states.of(model()) is PublishState.UNKNOWN
        assert await states.of(model()) is PublishState.UNKNOWN


@virtual
async def test_what_nobody_could_ask_is_an_error_and_not_remembered() -> None:
    for error in (OfflineError("away"), SignedOutError("out"), refusal(401)):
        states = Service(error, answer("complete")).states()
        with pytest.raises(type(error)):
            await states.of(model())
        assert await states.of(model()) is PublishState.PUBLISHED


@virtual
async def test_silence_ends_by_the_deadline() -> None:
    states = Service("silence").states()
    began = trio.current_time()
    with pytest.raises(DeadlineError):
        await states.of(model())
    assert trio.current_time() - began == pytest.approx(ANSWER_S)


ITEM = {
    "data": {
        "type": "items", "id": "urn:i",
        "attributes": {"lastModifiedTime": "2024-05-04T00:00:00Z"},
        "relationships": {"tip": {"data": {"type": "versions", "id": "urn:v"}}},
    },
    "included": [{
        "type": "versions", "id": "urn:v", "attributes": {"createTime": "2024-05-01T00:00:00Z"},
        "relationships": {"storage": {"data": {"type": "objects", "id": "urn:s"}}},
    }],
}  # fmt: skip
MAY_1_NS = 1_714_521_600 * 10**9


@virtual
async def test_when_it_was_published_and_changed() -> None:
    service = Service(answer(None), ITEM)
    found = await service.states().publication(model())
    day_ns = 86_400 * 10**9
    assert found == Publication(PublishState.NEEDS_PUBLISHING, MAY_1_NS, MAY_1_NS + 3 * day_ns)
    assert [call.route for call in service.calls] == ["commands", "item"]


@virtual
async def test_offline_the_listing_has_the_last_word() -> None:
    service = Service(OfflineError("away"))
    found = await service.states().publication(model(mtime_ns=MAY_1_NS))
    assert found == Publication(PublishState.UNKNOWN, MAY_1_NS, None)
    assert len(service.calls) == 1


def test_moments_of_a_model_without_bytes_and_of_nothing() -> None:
    bare = {"data": ITEM["data"], "included": []}
    assert decode_moments(bare) == (None, MAY_1_NS + 3 * 86_400 * 10**9)
    assert decode_moments({}) == (None, None)
