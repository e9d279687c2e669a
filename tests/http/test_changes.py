"""What changes something is sent once, and its errors say whether it may have happened."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
import trio

from dmfs.errors import (
    AccessError,
    BadInputError,
    BadResponseError,
    BusyError,
    CertificateError,
    DeadlineError,
    DriveError,
    GoneError,
    InUseError,
    LockedError,
    NameTakenError,
    OfflineError,
    PartsRefusedError,
    ShortageError,
    TokenRefusedError,
    UnknownOutcomeError,
    UnreachableError,
)
from dmfs.http.client import (
    BrokenConnectionError,
    CertificateRejectedError,
    ConnectError,
    InvalidRequestError,
    LocalShortageError,
    NestedEncodingError,
    Response,
    SilenceError,
)
from dmfs.http.errormap import clean, from_refusal
from dmfs.http.json_body import BODY_MAX_BYTES
from dmfs.http.json_client import Call
from dmfs.system.concurrency import deadline
from tests.support.fake_http import FakeService, json_client_of, json_response, raw, status
from tests.support.helpers import virtual

CHANGE = Call(
    action="save 'a.dwg'", route="new_version", method="POST", path="/versions",
    json={"a": "ä"}, once=True,
)  # fmt: skip
BROKEN = BrokenConnectionError("reset"), SilenceError("nothing came")
RESERVED: dict[str, Any] = {
    "status": "403", "code": "ERR_WIP_ERROR", "title": "RESERVATION_LINEAGE_RESERVED",
    "detail": "[WIP] The target lineage is reserved",
}  # fmt: skip
LOCK = {"errors": [RESERVED]}


def short(*, sent: bool) -> LocalShortageError:
    error = LocalShortageError("memory")
    error.sent = sent
    return error


async def outcome(*answers: Any, call: Call = CHANGE) -> tuple[DriveError, FakeService]:
    service = FakeService(*answers, *[json_response({"second": "try"})] * 5)
    async with json_client_of(service) as client:
        with pytest.raises(DriveError) as caught:
            await client.request(call)
    return caught.value, service


@pytest.mark.parametrize(
    "answer",
    [
        *BROKEN, NestedEncodingError(), short(sent=True),
        *(status(code) for code in (302, 304, 408, 500, 501, 502, 503, 504, 599)),
        raw(b""), raw(b"{"), raw(b"[]"), raw(b"<html>sign in"), raw(b"\xff"),
        Response(200, {"content-type": "text/html"}, b"{}"),
        Response(201, {}, b" " * (BODY_MAX_BYTES + 1), truncated=True),
    ],
)  # fmt: skip
def test_what_was_sent_without_an_answer_is_unknown_and_never_sent_again(answer: Any) -> None:
    @virtual
    async def body() -> None:
        error, service = await outcome(answer)
        assert type(error) is UnknownOutcomeError
        assert error.message.startswith("cannot save 'a.dwg': ")
        assert "not known" in error.message
        assert len(service.requests) == 1

    body()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(ConnectError("refused"), UnreachableError), (short(sent=False), ShortageError),
     (CertificateRejectedError("expired"), CertificateError),
     (InvalidRequestError("a header of two lines"), UnreachableError)],
)  # fmt: skip
def test_what_was_not_sent_is_unreachable(answer: Exception, kind: type[DriveError]) -> None:
    @virtual
    async def body() -> None:
        error, service = await outcome(answer)
        assert type(error) is kind
        assert len(service.requests) == 1

    body()


@virtual
async def test_offline_nothing_is_sent() -> None:
    service = FakeService()
    async with json_client_of(service) as client:
        client.breaker.force(True)
        with pytest.raises(OfflineError):
            await client.request(CHANGE)
    assert not service.requests


@virtual
async def test_the_breaker_and_the_counters_see_changes() -> None:
    async def unreachable(_timeout_s: float) -> bool:
        return False

    service = FakeService(BrokenConnectionError("reset"))
    async with json_client_of(service) as client, trio.open_nursery() as nursery:
        nursery.start_soon(client.breaker.watch, unreachable)
        with pytest.raises(UnknownOutcomeError):
            await client.request(CHANGE)
        await trio.sleep(2)
        assert client.breaker.is_open
        with pytest.raises(OfflineError):
            await client.request(CHANGE)
        gauges = client.gauges()
        nursery.cancel_scope.cancel()
    assert gauges["calls.new_version.broken"] == len(service.requests) == 1
    assert gauges["http.retries"] == 0


@virtual
async def test_a_breaker_that_opens_leaves_a_change_under_way_alone() -> None:
    """Its answer may still come; a GET is given up."""
    service = FakeService(json_response({"data": 1}))
    async with json_client_of(service) as client, trio.open_nursery() as nursery:

        async def change() -> None:
            assert await client.request(CHANGE) == {"data": 1}

        nursery.start_soon(change)
        await trio.sleep(0.005)
        client.breaker.force(True)
    assert len(service.requests) == 1


@virtual
async def test_a_429_is_waited_for_and_the_same_is_sent_again() -> None:
    service = FakeService(status(429, **{"retry-after": "7"}), json_response({"data": 1}))
    async with json_client_of(service) as client:
        assert await client.request(CHANGE) == {"data": 1}
    assert service.waits[0] >= 7
    assert service.requests[0] == service.requests[1]
    error, service = await outcome(status(429, **{"retry-after": "7"}), status(503))
    assert type(error) is UnknownOutcomeError
    assert len(service.requests) == 2


@virtual
async def test_a_429_beyond_the_deadline_is_busy_at_once() -> None:
    service = FakeService(status(429, **{"retry-after": "70"}))
    async with json_client_of(service) as client:
        with pytest.raises(BusyError), deadline(20, "save"):
            await client.request(CHANGE)
    assert trio.current_time() < 1


@virtual
async def test_a_deadline_may_pass_while_it_is_on_its_way() -> None:
    service = FakeService()
    async with json_client_of(service) as client:
        with pytest.raises(DeadlineError), deadline(0.005, "save"):
            await client.request(CHANGE)
    assert len(service.requests) == 1
    assert client.gauges()["calls.new_version.cancelled"] == 1


@virtual
async def test_what_only_asks_by_post_is_tried_again() -> None:
    service = FakeService(BrokenConnectionError("reset"), status(503), json_response({"a": 1}))
    async with json_client_of(service) as client:
        assert await client.request(replace(CHANGE, once=False)) == {"a": 1}
    assert len(service.requests) == 3


@virtual
async def test_the_body_and_its_type() -> None:
    service = FakeService()
    async with json_client_of(service) as client:
        await client.request(CHANGE)
        await client.request(replace(CHANGE, content_type="application/vnd.api+json"))
    types = [request.headers["Content-Type"] for request in service.requests]
    assert types == ["application/json", "application/vnd.api+json"]
    assert service.requests[0].content == '{"a":"ä"}'.encode()
    assert "ä" not in repr(service.requests[0]) + repr(CHANGE)
    assert "s3cret" not in repr(replace(CHANGE, params={"uploadKey": "s3cret"}))


@virtual
async def test_an_answer_of_another_shape_is_unknown_but_its_own_refusal_is_none() -> None:
    def strange(_answer: Any) -> None:
        raise BadResponseError("cannot save 'a.dwg': no id")

    def refused(_answer: Any) -> None:
        raise PartsRefusedError("no", [3])

    async with json_client_of(FakeService()) as client:
        with pytest.raises(UnknownOutcomeError, match="no id; whether"):
            await client.request(CHANGE, strange)
        with pytest.raises(PartsRefusedError):
            await client.request(CHANGE, refused)


@virtual
async def test_a_patch_may_be_answered_without_a_body() -> None:
    async with json_client_of(FakeService(Response(204, {}, b""), raw(b""))) as client:
        assert await client.request(replace(CHANGE, may_be_empty=True)) == {}
        with pytest.raises(UnknownOutcomeError):
            await client.request(CHANGE)


@pytest.mark.parametrize(
    ("code", "body", "kind"),
    [
        (400, {}, BadInputError), (405, {}, BadInputError), (413, {}, BadInputError),
        (422, {}, BadInputError), (401, {}, TokenRefusedError), (403, {}, AccessError),
        (404, {}, GoneError), (410, {}, GoneError), (429, {}, BusyError),
        (403, LOCK, LockedError), (423, {}, LockedError),
        (409, {"errors": [{"detail": "Another object with the same name already exists in this "
                           "container"}]}, NameTakenError),
        (400, {"errors": [{"detail": "Another object with the same name already exists"}]},
         NameTakenError),
        (409, {"errors": [{"title": "Conflict", "detail": "The file already exists."}]},
         NameTakenError),
        (409, {"errors": [{"detail": "[WIP] the version is being processed"}]}, InUseError),
        (409, {"errors": [{"detail": "The lineage has been modified."}]}, InUseError),
        (409, {}, InUseError), (409, {"reason": "name is already taken"}, NameTakenError),
        (400, {"status": "error", "reason": "MissingOrInvalidParts"}, PartsRefusedError),
        (500, {"status": "error"}, UnknownOutcomeError), (301, {}, UnknownOutcomeError),
    ],
)  # fmt: skip
def test_every_refusal_of_a_change(code: int, body: Any, kind: type[DriveError]) -> None:
    error = from_refusal("save 'a.dwg'", code, json.dumps(body).encode())
    assert type(error) is kind
    assert error.status == code


def test_a_lock_names_whoever_has_it() -> None:
    assert "somebody else" in from_refusal("x", 403, json.dumps(LOCK).encode()).hint
    for more in ({"meta": {"reservedUserName": "Bob\n Emulated"}}, {"reservedBy": "Bob Emulated"}):
        body = {"errors": [RESERVED | more]}
        assert "by Bob Emulated:" in from_refusal("x", 403, json.dumps(body).encode()).hint
    for meta in (5, {"reservedUserName": 5}, {"reservedUserName": " "}, ["Bob"]):
        body = {"errors": [{"title": "RESERVATION_LINEAGE_RESERVED", "meta": meta}]}
        assert "somebody else" in from_refusal("x", 403, json.dumps(body).encode()).hint


def test_a_completion_names_the_parts_that_are_not_in_order() -> None:
    parts: list[Any] = [{"part": 1, "status": "Ok"}, {"part": 2, "status": "Pending"},
                        {"part": 7, "status": "Unexpected"}, {"part": "8", "status": "TooSmall"},
                        {"part": True, "status": "Pending"}, 5, {"status": "Pending"}]  # fmt: skip
    body = {"status": "error", "reason": "MissingOrInvalidParts", "parts": parts}
    error = from_refusal("complete an upload", 400, json.dumps(body).encode())
    assert isinstance(error, PartsRefusedError)
    assert error.parts == (2, 7)
    assert "MissingOrInvalidParts" in error.message


def test_no_upload_key_gets_through() -> None:
    assert "s3cret" not in clean("no upload for uploadKey=s3cret&parts=2")
