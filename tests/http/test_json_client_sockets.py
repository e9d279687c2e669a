"""API calls and the app's sign-in against the emulator: what only sockets show."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from dmfs.aps.client import Aps
from dmfs.auth.token_endpoint import App
from dmfs.auth.token_sources import TwoLegged
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import AccessError, BadResponseError, DeadlineError
from dmfs.http.engines import open_engines
from dmfs.http.json_client import JsonClient
from dmfs.http.tls import ca_bundle
from dmfs.model import Root
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.system.concurrency import deadline
from tests.support.helpers import real


@asynccontextmanager
async def service_of(emulator: EmulatorProcess, secret: str = "") -> AsyncIterator[Aps]:
    async with open_engines(ca_bundle("")) as engines, trio.open_nursery() as nursery:
        client = JsonClient(emulator.api_url, engines, RateLimiter())
        app = App(emulator.client_id, secret or emulator.client_secret)
        tokens = TwoLegged(client, nursery, app, "data:read")
        yield Aps(client, tokens, url_minutes=60)
        nursery.cancel_scope.cancel()


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
async def test_a_401_that_stays_is_requested_twice_and_no_more(emulator: EmulatorProcess) -> None:
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
            hubs = await aps.children(Root())
            assert len(hubs) > 3

    body()
    assert emulator.counts()["hubs"] == 2


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


@real
async def test_silence_ends_with_the_deadline(emulator: EmulatorProcess) -> None:
    emulator.fault("stall_before_headers", route="hubs", seconds=None, times=None)
    async with service_of(emulator) as aps:
        with pytest.raises(DeadlineError), deadline(0.3, "list hubs"):
            await aps.children(Root())
        emulator.clear_faults()
        await aps.children(Root())  # and the connection is not spoilt for the next one
