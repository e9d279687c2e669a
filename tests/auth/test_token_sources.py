"""The token sources that sign in by themselves: one request for all tasks, in virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from dmfs.auth.token_endpoint import App
from dmfs.auth.token_sources import TwoLegged
from dmfs.errors import AccessError, BadResponseError, BusyError, DeadlineError, DriveError
from dmfs.http.client import Response
from dmfs.system.concurrency import deadline
from tests.support.fake_http import FakeService, json_client_of, json_response, status
from tests.support.helpers import virtual


@asynccontextmanager
async def source_of(service: FakeService) -> AsyncIterator[TwoLegged]:
    async with json_client_of(service) as client, trio.open_nursery() as nursery:
        yield TwoLegged(client, nursery, App("id", "secret"), "data:read")
        nursery.cancel_scope.cancel()


def token(name: str, lifetime: Any = 3600) -> Response:
    return json_response({"access_token": name, "expires_in": lifetime})


@virtual
async def test_fifty_who_find_no_token_ask_for_one() -> None:
    service = FakeService(token("T1"))
    async with source_of(service) as source:
        got: list[str] = []

        async def one() -> None:
            got.append(await source.token())

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(one)
    assert got == ["T1"] * 50
    assert len(service.moments) == 1
    (request,) = service.requests
    assert request.headers["Authorization"].startswith("Basic ")
    assert request.form is not None
    assert "client_secret" not in request.form  # the service refuses both at once


@virtual
async def test_fifty_whose_token_was_refused_renew_it_once() -> None:
    service = FakeService(token("T1"), token("T2"), token("T3"))
    async with source_of(service) as source:
        old = await source.token()
        got: list[str] = []

        async def one() -> None:
            got.append(await source.renew(old))

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(one)
        assert got == ["T2"] * 50
        assert await source.token() == "T2"
    assert len(service.moments) == 2


@virtual
async def test_fifty_waiters_of_a_sign_in_that_fails_cost_one_failure() -> None:
    """Each of them asking anew, one after another, would be fifty refusals (or fifty timeouts)."""
    service = FakeService(*[status(401)] * 100)
    async with source_of(service) as source:
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
        assert len(service.moments) == 1
        with pytest.raises(AccessError):  # whoever comes later asks for himself
            await source.token()
        assert len(service.moments) == 2


@virtual
async def test_a_token_is_renewed_before_it_expires() -> None:
    service = FakeService(token("T1", 3600), token("T2", 10), token("T3", 3600))
    async with source_of(service) as source:
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
        service = FakeService(*[json_response(answer)] * 9)
        async with source_of(service) as source:
            with pytest.raises(BadResponseError):
                await source.token()

    body()


@pytest.mark.parametrize("lifetime", [None, "3600", -1, True, [], float("nan"), float("inf")])
def test_an_odd_lifetime_gives_a_token_that_ends(lifetime: Any) -> None:
    @virtual
    async def body() -> None:
        service = FakeService(token("T1", lifetime), token("T2", lifetime))
        async with source_of(service) as source:
            assert await source.token() == "T1"
            assert await source.token() == "T1"
            await trio.sleep(86_400)
            assert await source.token() == "T2"

    body()


def test_signing_in_without_credentials_says_what_to_set() -> None:
    for client_id, secret in (("", "s"), ("i", "")):
        with pytest.raises(AccessError) as caught:
            TwoLegged(None, None, App(client_id, secret), "s")  # type: ignore[arg-type]
        assert "DMFS_CLIENT_ID" in caught.value.hint


@virtual
async def test_a_task_with_more_time_than_the_one_that_began_signs_in_itself() -> None:
    class Slow(FakeService):
        async def send(self, request):
            if not self.moments:
                self.moments.append(trio.current_time())
                await trio.sleep_forever()
            return await super().send(request)

    service = Slow(token("T1"))
    outcomes: dict[str, object] = {}
    async with source_of(service) as source:

        async def one(name: str, seconds: float) -> None:
            try:
                with deadline(seconds, "sign in"):
                    outcomes[name] = await source.token()
            except DeadlineError as error:
                outcomes[name] = type(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, "short", 5.0)
            await trio.sleep(1)
            nursery.start_soon(one, "long", 60.0)
    assert outcomes == {"short": DeadlineError, "long": "T1"}
    assert [moment - service.moments[0] for moment in service.moments] == [0, 5.0]


@virtual
async def test_a_rate_limit_beyond_the_deadline_is_busy_at_once_also_for_a_token() -> None:
    service = FakeService(status(429, **{"retry-after": "60"}))
    async with source_of(service) as source:
        began = trio.current_time()
        with pytest.raises(BusyError), deadline(30.0, "list"):
            await source.token()
        assert trio.current_time() - began < 1


@virtual
async def test_a_caller_that_gives_up_does_not_cancel_the_sign_in_of_others() -> None:
    service = FakeService(token("T1"))
    async with source_of(service) as source:
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(source.token)
                await trio.sleep(0.001)
                scope.cancel()
        assert await source.token() == "T1"
    assert len(service.moments) == 1
