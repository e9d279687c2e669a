"""Conversations with the API: retries, limits, sign-in. Virtual time over a made-up transport,
and the emulator for what only sockets show."""

from __future__ import annotations

import gc
import gzip
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import trio

from dmfs.aps.client import Aps
from dmfs.auth.token_sources import TwoLegged
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import (
    AccessError,
    BadResponseError,
    BusyError,
    DeadlineError,
    DriveError,
    GoneError,
    UnreachableError,
)
from dmfs.http.json_client import ATTEMPTS, Call, JsonClient, open_clients
from dmfs.http.tls import ca_bundle
from dmfs.model import Root
from dmfs.ratelimit.limiter import DEFAULT_HOLD_S, RateLimiter
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.system.concurrency import deadline
from tests.support.helpers import real, virtual

CALL = Call(what="list hubs", route="hubs", method="GET", path="/project/v1/hubs")
# httpx leaves its inner generators to the collector when a body is not read to its end
leaves_generators = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:Async generator:ResourceWarning"
)
Answer = httpx.Response | Exception | Callable[[], httpx.Response]


class Service:
    """Answers what it was told to, then 200 ``{}``; remembers when it was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked_at: list[float] = []
        self.requests: list[httpx.Request] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked_at.append(trio.current_time())
        self.requests.append(request)
        await trio.sleep(0.01)
        answer = self.answers.pop(0) if self.answers else httpx.Response(200, json={})
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, httpx.Response) else answer()

    @property
    def waits(self) -> list[float]:
        return [b - a for a, b in zip(self.asked_at, self.asked_at[1:], strict=False)]


@asynccontextmanager
async def wire_to(service: Service) -> AsyncIterator[JsonClient]:
    transport = httpx.MockTransport(service)
    async with httpx.AsyncClient(transport=transport, follow_redirects=False) as client:
        yield JsonClient("https://api.example", client, RateLimiter())


def status(code: int, **headers: str) -> httpx.Response:
    return httpx.Response(code, json={"reason": "made up"}, headers=headers)


@virtual
async def test_retries_back_off_with_growing_bounded_waits_and_then_give_up() -> None:
    service = Service(*[status(503)] * 20)
    async with wire_to(service) as wire:
        with pytest.raises(UnreachableError, match="made up"):
            await wire.ask(CALL)
    assert len(service.asked_at) == ATTEMPTS
    for number, wait_s in enumerate(service.waits):
        assert 0.25 * 2**number <= wait_s <= 0.5 * 2**number + 0.02


@pytest.mark.parametrize(
    ("level", "asked"),
    [(Priority.LOOKUP, 3), (Priority.WALK, 3), (Priority.AHEAD, 1), (Priority.POLL, 1)],
)
def test_what_nobody_waits_for_is_not_tried_again(level: Priority, asked: int) -> None:
    @virtual
    async def body() -> None:
        service = Service(status(503), status(503), httpx.Response(200, json={"a": 1}))
        async with wire_to(service) as wire:
            with at_priority(RequestPriority(level)):
                if asked == 1:
                    with pytest.raises(UnreachableError):
                        await wire.ask(CALL)
                else:
                    assert await wire.ask(CALL) == {"a": 1}
        assert len(service.asked_at) == asked

    body()


@virtual
async def test_an_answer_of_another_shape_is_not_asked_for_again() -> None:
    """A damaged one is, once: see below."""

    def decode(answer: dict[str, Any]) -> str:
        raise BadResponseError(f"not what we know: {answer}")

    service = Service(httpx.Response(200, json={"a": 1}))
    async with wire_to(service) as wire:
        with pytest.raises(BadResponseError, match="not what we know"):
            await wire.ask_for(CALL, decode)
    assert len(service.asked_at) == 1


@pytest.mark.parametrize("code", [408, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(code: int) -> None:
    @virtual
    async def body() -> None:
        service = Service(status(code), httpx.Response(200, json={"a": 1}))
        async with wire_to(service) as wire:
            assert await wire.ask(CALL) == {"a": 1}
        assert len(service.asked_at) == 2

    body()


@pytest.mark.parametrize(
    ("code", "error"),
    [(400, BadResponseError), (401, AccessError), (403, AccessError), (404, GoneError),
     (410, GoneError), (423, AccessError), (501, UnreachableError), (302, BadResponseError)],
)  # fmt: skip
def test_what_is_final_is_not(code: int, error: type[DriveError]) -> None:
    @virtual
    async def body() -> None:
        service = Service(status(code))
        async with wire_to(service) as wire:
            with pytest.raises(error):
                await wire.ask(CALL)
        assert len(service.asked_at) == 1

    body()


@pytest.mark.parametrize(
    "error",
    [httpx.ConnectError("refused"), httpx.ReadTimeout("slow"), httpx.RemoteProtocolError("eh?"),
     httpx.ReadError("reset"), OSError("no route")],
)  # fmt: skip
def test_a_broken_connection_is_tried_again(error: Exception) -> None:
    @virtual
    async def body() -> None:
        service = Service(error, error)
        async with wire_to(service) as wire:
            assert await wire.ask(CALL) == {}
        service.answers = [error] * 9
        async with wire_to(service) as wire:
            with pytest.raises(UnreachableError):
                await wire.ask(CALL)

    body()


@virtual
async def test_no_retry_is_slept_for_past_the_deadline() -> None:
    service = Service(*[status(503)] * 9)
    async with wire_to(service) as wire:
        wire._random = random.Random(1)  # else one in some hundred ends a try at the deadline
        began = trio.current_time()
        with pytest.raises(UnreachableError), deadline(1.0, "list"):
            await wire.ask(CALL)
        assert trio.current_time() - began < 1.0
    assert 2 <= len(service.asked_at) <= 3


@virtual
async def test_retry_after_is_honoured_by_all_callers_of_the_route() -> None:
    service = Service(status(429, **{"Retry-After": "7"}))
    async with wire_to(service) as wire:
        other = Call(what="x", route="contents", method="GET", path="/x")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wire.ask, CALL)
            await trio.sleep(1)
            for _ in range(5):
                nursery.start_soon(wire.ask, CALL)
            began = trio.current_time()
            await wire.ask(other)  # another route is another budget
            assert trio.current_time() - began < 0.1
    paths = [request.url.path for request in service.requests]
    assert paths == ["/project/v1/hubs", "/x"] + ["/project/v1/hubs"] * 6
    assert min(service.asked_at[2:]) - service.asked_at[0] >= 7


@virtual
async def test_a_wait_beyond_the_deadline_is_busy_at_once() -> None:
    service = Service(*[status(429, **{"Retry-After": "60"})] * 9)
    async with wire_to(service) as wire:
        for _ in range(3):
            began = trio.current_time()
            with pytest.raises(BusyError), deadline(30.0, "list"):
                await wire.ask(CALL)
            assert trio.current_time() - began < 0.1
    assert len(service.asked_at) == 1  # the others did not even ask


@virtual
async def test_429_without_retry_after_holds_for_a_while() -> None:
    for header in ({}, {"Retry-After": "soon"}, {"Retry-After": "-5"}):
        service = Service(status(429, **header))
        async with wire_to(service) as wire:
            await wire.ask(CALL)
        assert service.waits == pytest.approx([DEFAULT_HOLD_S], abs=0.05)


@virtual
async def test_429_for_ever_ends() -> None:
    service = Service(*[status(429, **{"Retry-After": "1"})] * 50)
    async with wire_to(service) as wire:
        with pytest.raises(BusyError):
            await wire.ask(CALL)
    assert len(service.asked_at) == ATTEMPTS


@pytest.mark.parametrize(
    "answer",
    [
        lambda: httpx.Response(200, html="<html>Sign in to Hotel WiFi</html>"),
        lambda: httpx.Response(200, content=b"{\"data\": ["),
        lambda: httpx.Response(200, content=b""),
        lambda: httpx.Response(200, json=[1]),
        lambda: httpx.Response(200, content=b"\xff\xfe"),
        lambda: httpx.Response(200, content=b"[" * 100_000),
        lambda: httpx.Response(200, content=b" <?xml version='1.0'?><Error/>"),
    ],
)  # fmt: skip
def test_a_damaged_answer_is_asked_for_once_more(answer: Callable[[], httpx.Response]) -> None:
    @virtual
    async def body() -> None:
        service = Service(answer)
        async with wire_to(service) as wire:
            assert await wire.ask(CALL) == {}
        service = Service(*[answer] * 9)
        async with wire_to(service) as wire:
            with pytest.raises(BadResponseError):
                await wire.ask(CALL)
        assert len(service.asked_at) == 2

    body()


@leaves_generators
@virtual
async def test_a_body_that_is_not_what_its_encoding_says_is_no_bug() -> None:
    def garbled() -> httpx.Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield gzip.compress(b"{}" * 1000)[:20] + b"garbage garbage"

        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=chunks())

    service = Service(*[garbled] * 9)
    async with wire_to(service) as wire:
        with pytest.raises(DriveError):
            await wire.ask(CALL)
    gc.collect()


@leaves_generators
@virtual
async def test_a_body_without_end_is_cut_off() -> None:
    sent = 0

    def endless() -> httpx.Response:
        async def chunks() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 1 << 20
                yield b" " * (1 << 20)

        return httpx.Response(200, content=chunks())

    service = Service(endless)
    async with wire_to(service) as wire:
        with pytest.raises(BadResponseError, match="larger"):
            await wire.ask(CALL)
    assert len(service.asked_at) == 1
    assert sent < 40 << 20
    gc.collect()


@virtual
async def test_a_byte_order_mark_is_no_damage() -> None:
    service = Service(httpx.Response(200, content=b'\xef\xbb\xbf{"data": []}'))
    async with wire_to(service) as wire:
        assert await wire.ask(CALL) == {"data": []}


# Sign-in


def token(name: str, lifetime: Any = 3600) -> httpx.Response:
    return httpx.Response(200, json={"access_token": name, "expires_in": lifetime})


@virtual
async def test_fifty_who_find_no_token_ask_for_one() -> None:
    service = Service(token("T1"))
    async with wire_to(service) as wire:
        source = TwoLegged(wire, "id", "secret", "data:read")
        got: list[str] = []

        async def one() -> None:
            got.append(await source.token())

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(one)
    assert got == ["T1"] * 50
    assert len(service.asked_at) == 1
    assert service.requests[0].headers["authorization"].startswith("Basic ")
    assert b"client_secret" not in service.requests[0].content  # never both (facts 1.2)


@virtual
async def test_fifty_whose_token_was_refused_renew_it_once() -> None:
    service = Service(token("T1"), token("T2"), token("T3"))
    async with wire_to(service) as wire:
        source = TwoLegged(wire, "id", "secret", "data:read")
        old = await source.token()
        got: list[str] = []

        async def one() -> None:
            got.append(await source.renew(old))

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(one)
        assert got == ["T2"] * 50
        assert await source.token() == "T2"
    assert len(service.asked_at) == 2


@virtual
async def test_fifty_waiters_of_a_sign_in_that_fails_cost_one_failure() -> None:
    """Each of them asking anew, one after another, would be fifty refusals (or fifty timeouts)."""
    service = Service(*[status(401)] * 100)
    async with wire_to(service) as wire:
        source = TwoLegged(wire, "id", "wrong", "data:read")
        errors: list[DriveError] = []

        async def one() -> None:
            try:
                await source.token()
            except DriveError as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(one)
        assert len(errors) == 50
        assert all(isinstance(error, AccessError) for error in errors)
        assert "DMFS_CLIENT_ID" in errors[-1].hint
        assert len(service.asked_at) == 1
        with pytest.raises(AccessError):  # whoever comes later asks for himself
            await source.token()
        assert len(service.asked_at) == 2


@virtual
async def test_a_token_is_renewed_before_it_expires() -> None:
    service = Service(token("T1", 3600), token("T2", 10), token("T3", 3600))
    async with wire_to(service) as wire:
        source = TwoLegged(wire, "id", "secret", "data:read")
        assert await source.token() == "T1"
        await trio.sleep(3530)
        assert await source.token() == "T1"
        await trio.sleep(20)
        assert await source.token() == "T2"
        assert await source.token() == "T2"  # short-lived: not renewed with every call
        await trio.sleep(6)
        assert await source.token() == "T3"


@pytest.mark.parametrize(
    "answer",
    [{}, {"access_token": 5}, {"access_token": ""}, {"access_token": "a\r\nX: y"},
     {"access_token": "ä"}, {"access_token": None}],
)  # fmt: skip
def test_an_unusable_token_is_a_bad_answer(answer: dict[str, Any]) -> None:
    @virtual
    async def body() -> None:
        service = Service(*[httpx.Response(200, json=answer)] * 9)
        async with wire_to(service) as wire:
            with pytest.raises(BadResponseError):
                await TwoLegged(wire, "id", "secret", "s").token()

    body()


@pytest.mark.parametrize("lifetime", [None, "3600", -1, True, [], float("nan"), float("inf")])
def test_an_odd_lifetime_gives_a_token_that_ends(lifetime: Any) -> None:
    @virtual
    async def body() -> None:
        def answer(name: str) -> Callable[[], httpx.Response]:
            body = json.dumps({"access_token": name, "expires_in": lifetime}).encode()
            return lambda: httpx.Response(200, content=body)

        service = Service(answer("T1"), answer("T2"))
        async with wire_to(service) as wire:
            source = TwoLegged(wire, "id", "secret", "s")
            assert await source.token() == "T1"
            assert await source.token() == "T1"
            await trio.sleep(86_400)
            assert await source.token() == "T2"

    body()


def test_signing_in_without_credentials_says_what_to_set() -> None:
    for client_id, secret in (("", "s"), ("i", "")):
        with pytest.raises(AccessError) as caught:
            TwoLegged(None, client_id, secret, "s")  # type: ignore[arg-type]
        assert "DMFS_CLIENT_ID" in caught.value.hint


# Several clients


# Against the emulator


@asynccontextmanager
async def service_of(emulator: EmulatorProcess, secret: str = "") -> AsyncIterator[Aps]:
    async with open_clients(ca_bundle("")) as clients:
        wire = JsonClient(emulator.api_url, clients, RateLimiter())
        tokens = TwoLegged(wire, emulator.client_id, secret or emulator.client_secret, "data:read")
        yield Aps(wire, tokens, url_minutes=60)


@real
async def test_an_expired_token_is_renewed_once_unseen(emulator: EmulatorProcess) -> None:
    async with service_of(emulator) as aps:
        await aps.children(Root())
        emulator.expire_tokens()
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(aps.children, Root())
    assert emulator.counts()["token"] == 2


@real
async def test_a_401_that_stays_is_asked_twice_and_no_more(emulator: EmulatorProcess) -> None:
    emulator.fault("status", route="hubs", status=401, shape="gateway", times=None)
    async with service_of(emulator) as aps:
        with pytest.raises(AccessError):
            await aps.children(Root())
    assert (emulator.counts()["hubs"], emulator.counts()["token"]) == (2, 2)


@real
async def test_a_wrong_secret_says_what_to_check_and_keeps_the_secret(
    emulator: EmulatorProcess, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with service_of(emulator, secret="my-wrong-secret") as aps:
        with pytest.raises(AccessError) as caught:
            await aps.children(Root())
    assert "DMFS_CLIENT_SECRET" in caught.value.hint
    assert emulator.counts()["token"] == 1
    assert "my-wrong-secret" not in caplog.text + str(caught.value)


@real
async def test_a_redirect_takes_no_token_along(emulator: EmulatorProcess) -> None:
    target = f"{emulator.cdn_url}/stolen"
    emulator.fault("redirect", route="hubs", location=target, times=None)
    async with service_of(emulator) as aps:
        with pytest.raises(BadResponseError):
            await aps.children(Root())
    assert [entry for entry in emulator.calls()["log"] if entry["origin"] == "cdn"] == []


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("html_200", {}), ("truncated_json", {}), ("malformed_json", {}), ("empty_body", {}),
        ("reset_before_headers", {}), ("reset_mid_body", {}), ("short_body", {}),
        ("status", {"status": 500, "shape": "html"}), ("status", {"status": 502, "shape": "empty"}),
        ("status", {"status": 429, "shape": "gateway", "retry_after": 0}),
    ],
)  # fmt: skip
def test_an_accident_is_survived(
    emulator: EmulatorProcess, kind: str, params: dict[str, Any]
) -> None:
    emulator.fault(kind, route="hubs", **params)

    @real
    async def body() -> None:
        async with service_of(emulator) as aps:
            hubs, _ = await aps.children(Root())
            assert len(hubs) > 3

    body()
    assert emulator.counts()["hubs"] == 2


@leaves_generators
@real
async def test_a_huge_body_and_wrong_types_are_bad_answers(emulator: EmulatorProcess) -> None:
    cases: list[tuple[str, dict[str, Any]]]
    cases = [("huge_body", {"megabytes": 40}), ("wrong_json_types", {})]
    for kind, params in cases:
        emulator.clear_faults()
        emulator.fault(kind, route="hubs", times=None, **params)
        async with service_of(emulator) as aps:
            with pytest.raises(BadResponseError):
                await aps.children(Root())
    gc.collect()


@real
async def test_silence_ends_with_the_deadline(emulator: EmulatorProcess) -> None:
    emulator.fault("stall_before_headers", route="hubs", seconds=None, times=None)
    async with service_of(emulator) as aps:
        began = trio.current_time()
        with pytest.raises(DeadlineError), deadline(0.3, "list hubs"):
            await aps.children(Root())
        assert trio.current_time() - began < 1.0
        emulator.clear_faults()
        await aps.children(Root())  # and the connection is not spoilt for the next one
