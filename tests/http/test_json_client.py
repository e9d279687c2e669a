"""The retries, limits and counters of API calls: virtual time over a made-up service."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio

import dmfs.system.backoff
from dmfs.errors import (
    AccessError,
    BadResponseError,
    BusyError,
    CertificateError,
    DriveError,
    GoneError,
    UnreachableError,
)
from dmfs.http.client import (
    BrokenConnectionError,
    CertificateRejectedError,
    ConnectError,
    InvalidRequestError,
    NestedEncodingError,
    Response,
    SilenceError,
)
from dmfs.http.json_client import ATTEMPTS, Call
from dmfs.ratelimit.limiter import DEFAULT_BACK_OFF_S
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.ratelimit.stall_gate import StallGate
from dmfs.system.concurrency import deadline
from tests.support.fake_http import FakeService, json_client_of, json_response, raw, status
from tests.support.helpers import virtual

CALL = Call(action="list hubs", route="hubs", method="GET", path="/project/v1/hubs")


@virtual
async def test_retries_back_off_with_growing_bounded_waits_and_then_give_up() -> None:
    service = FakeService(*[status(503)] * 20)
    async with json_client_of(service) as client:
        with pytest.raises(UnreachableError, match="made up"):
            await client.request(CALL)
    assert len(service.moments) == ATTEMPTS
    for number, wait_s in enumerate(service.waits):
        assert 0.25 * 2**number <= wait_s <= 0.5 * 2**number + 0.02


@pytest.mark.parametrize(
    ("level", "calls"),
    [(Priority.LOOKUP, 3), (Priority.WALK, 3), (Priority.AHEAD, 1), (Priority.POLL, 1)],
)
def test_speculation_is_not_tried_again(level: Priority, calls: int) -> None:
    @virtual
    async def body() -> None:
        service = FakeService(status(503), status(503), json_response({"a": 1}))
        async with json_client_of(service) as client:
            with at_priority(RequestPriority(level)):
                if calls == 1:
                    with pytest.raises(UnreachableError):
                        await client.request(CALL)
                else:
                    assert await client.request(CALL) == {"a": 1}
        assert len(service.moments) == calls

    body()


@virtual
async def test_an_answer_of_another_shape_is_not_requested_again() -> None:
    """A damaged one is, once: see below."""

    def decode(answer: dict[str, Any]) -> str:
        raise BadResponseError(f"not what we know: {answer}")

    service = FakeService(json_response({"a": 1}))
    async with json_client_of(service) as client:
        with pytest.raises(BadResponseError, match="not what we know"):
            await client.request(CALL, decode)
    assert len(service.moments) == 1


@pytest.mark.parametrize("code", [408, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(code: int) -> None:
    @virtual
    async def body() -> None:
        service = FakeService(status(code), json_response({"a": 1}))
        async with json_client_of(service) as client:
            assert await client.request(CALL) == {"a": 1}
        assert len(service.moments) == 2

    body()


@pytest.mark.parametrize(
    ("code", "error"),
    [(400, BadResponseError), (401, AccessError), (403, AccessError), (404, GoneError),
     (410, GoneError), (423, AccessError), (501, UnreachableError), (302, BadResponseError)],
)  # fmt: skip
def test_what_is_final_is_not(code: int, error: type[DriveError]) -> None:
    @virtual
    async def body() -> None:
        service = FakeService(status(code))
        async with json_client_of(service) as client:
            with pytest.raises(error):
                await client.request(CALL)
        assert len(service.moments) == 1

    body()


@pytest.mark.parametrize(
    "error",
    [ConnectError("refused"), SilenceError("slow"), BrokenConnectionError("eh?"),
     CertificateRejectedError("expired"), InvalidRequestError("bad URL")],
)  # fmt: skip
def test_a_broken_connection_is_tried_again(error: Exception) -> None:
    @virtual
    async def body() -> None:
        service = FakeService(error, error)
        async with json_client_of(service) as client:
            assert await client.request(CALL) == {}
        service.answers = [error] * 9
        async with json_client_of(service) as client:
            with pytest.raises(UnreachableError):
                await client.request(CALL)

    body()


@virtual
async def test_no_retry_is_slept_for_past_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    # else one in some hundred ends a try at the deadline
    monkeypatch.setattr(dmfs.system.backoff, "_random", random.Random(1))
    service = FakeService(*[status(503)] * 9)
    async with json_client_of(service) as client:
        began = trio.current_time()
        with pytest.raises(UnreachableError), deadline(1.0, "list"):
            await client.request(CALL)
        assert trio.current_time() - began < 1.0
    assert 2 <= len(service.moments) <= 3


@virtual
async def test_retry_after_is_honoured_by_all_callers_of_the_route() -> None:
    service = FakeService(status(429, **{"retry-after": "7"}))
    async with json_client_of(service) as client:
        other = Call(action="x", route="contents", method="GET", path="/x")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.request, CALL)
            await trio.sleep(1)
            for _ in range(5):
                nursery.start_soon(client.request, CALL)
            began = trio.current_time()
            await client.request(other)  # another route is another budget
            assert trio.current_time() - began < 0.1
    assert service.paths == ["/project/v1/hubs", "/x"] + ["/project/v1/hubs"] * 6
    assert min(service.moments[2:]) - service.moments[0] >= 7


@virtual
async def test_a_wait_beyond_the_deadline_is_busy_at_once() -> None:
    service = FakeService(*[status(429, **{"retry-after": "60"})] * 9)
    async with json_client_of(service) as client:
        for _ in range(3):
            began = trio.current_time()
            with pytest.raises(BusyError), deadline(30.0, "list"):
                await client.request(CALL)
            assert trio.current_time() - began < 0.1
    assert len(service.moments) == 1  # the others did not even ask


@virtual
async def test_429_without_retry_after_blocks_for_a_while() -> None:
    for header in ({}, {"retry-after": "soon"}, {"retry-after": "-5"}):
        service = FakeService(status(429, **header))
        async with json_client_of(service) as client:
            await client.request(CALL)
        assert service.waits == pytest.approx([DEFAULT_BACK_OFF_S], abs=0.05)


@virtual
async def test_429_for_ever_ends() -> None:
    service = FakeService(*[status(429, **{"retry-after": "1"})] * 50)
    async with json_client_of(service) as client:
        with pytest.raises(BusyError):
            await client.request(CALL)
    assert len(service.moments) == ATTEMPTS


@pytest.mark.parametrize(
    "answer",
    [
        raw(b"Sign in to Hotel WiFi", **{"content-type": "text/html"}),
        raw(b"{\"data\": ["),
        raw(b""),
        json_response([1]),
        raw(b"\xff\xfe"),
        raw(b"[" * 100_000),
        raw(b" <?xml version='1.0'?><Error/>"),
    ],
)  # fmt: skip
def test_a_damaged_answer_is_requested_once_more(answer: Response) -> None:
    @virtual
    async def body() -> None:
        service = FakeService(answer)
        async with json_client_of(service) as client:
            assert await client.request(CALL) == {}
        service = FakeService(*[answer] * 9)
        async with json_client_of(service) as client:
            with pytest.raises(BadResponseError):
                await client.request(CALL)
        assert len(service.moments) == 2

    body()


@virtual
async def test_a_byte_order_mark_is_no_damage() -> None:
    service = FakeService(raw(b'\xef\xbb\xbf{"data": []}'))
    async with json_client_of(service) as client:
        assert await client.request(CALL) == {"data": []}


@virtual
async def test_a_body_that_is_too_long_or_packed_twice_is_refused_once() -> None:
    for answer, words in (
        (Response(200, {}, b" ", truncated=True), "larger than 8 MiB"),
        (NestedEncodingError(), "packed more than once"),
    ):
        service = FakeService(answer)
        async with json_client_of(service) as client:
            with pytest.raises(BadResponseError, match=words):
                await client.request(CALL)
        assert len(service.moments) == 1


@virtual
async def test_a_certificate_has_an_error_and_a_hint_of_its_own() -> None:
    async with json_client_of(FakeService(*[CertificateRejectedError("x")] * ATTEMPTS)) as client:
        with pytest.raises(CertificateError) as caught:
            await client.request(CALL)
    assert "ca_file" in caught.value.hint


@virtual
async def test_calls_are_counted_by_route_and_outcome() -> None:
    service = FakeService(
        json_response({"a": 1}),
        status(503),
        ConnectError("refused"),
        json_response({}),
        status(404),
    )
    async with json_client_of(service) as client:
        await client.request(CALL)
        await client.request(CALL)
        with pytest.raises(GoneError):
            await client.request(CALL)
        with trio.move_on_after(0.001):
            await client.request(Call("open", "sign", "GET", "/x"))
    received = len(json_response({"a": 1}).body) + 2 + 2 * len(status(503).body)
    assert client.gauges() == StallGate().gauges() | {
        "calls.hubs.ok": 2, "calls.hubs.http_503": 1, "calls.hubs.connect": 1,
        "calls.hubs.http_404": 1, "calls.sign.cancelled": 1,
        "http.retries": 2, "http.received_bytes": received,
    }  # fmt: skip
