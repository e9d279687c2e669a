"""A stretch of the API that stalls is waited for once or twice, not by each call: virtual time over
a made-up service whose paths answer or do not."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest
import trio

from dmfs.errors import DeadlineError, DriveError, OfflineError, StalledError, UnreachableError
from dmfs.http.client import Request, Response, SilenceError
from dmfs.http.json_client import ATTEMPTS, FAILING_PATHS, Call, JsonClient
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.ratelimit.stall_gate import PROBES_AT_ONCE
from dmfs.ratelimit.stall_memory import SHORT_MAX_S
from dmfs.system.concurrency import deadline
from tests.support.fake_http import API_URL, json_response, status
from tests.support.helpers import virtual

DEADLINE_S = 28.5


class Service:
    """Answers after 0.2 s; not at all where ``stalls`` says so of a path."""

    def __init__(self) -> None:
        self.silent: set[str] = set()
        self.all_silent = False
        self.slow: dict[str, float] = {}
        self.broken: set[str] = set()
        self.calls: Counter[str] = Counter()
        self.under_way = self.peak = 0
        self._changed = trio.Event()

    async def send(self, request: Request) -> Response:
        path = urlsplit(request.url).path
        self.calls[path] += 1
        self.under_way += 1
        self.peak = max(self.peak, self.under_way)
        try:
            if self.all_silent or path in self.silent:
                await trio.sleep(request.silence_s)
                raise SilenceError("nothing came")
            await trio.sleep(self.slow.get(path, 0.2))
            return status(503) if path in self.broken else json_response({})
        finally:
            self.under_way -= 1


@asynccontextmanager
async def client_of(service: Service) -> AsyncIterator[JsonClient]:
    client = JsonClient(API_URL, service, RateLimiter())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        nursery.start_soon(client.breaker.watch, client.probe)
        yield client
        nursery.cancel_scope.cancel()


def a_call(path: str, route: str = "contents") -> Call:
    return Call(action=f"list {path}", route=route, method="GET", path=path)


async def outcome(client: JsonClient, path: str, route: str = "contents") -> str:
    """ "ok", or the name of the error."""
    try:
        with deadline(DEADLINE_S, "list"):
            await client.request(a_call(path, route))
    except DriveError as error:
        return type(error).__name__
    return "ok"


@virtual
async def test_a_walk_over_a_hundred_stalled_folders_takes_two_deadlines() -> None:
    service = Service()
    service.silent = {f"/{number}" for number in range(100)}
    async with client_of(service) as client:
        began = trio.current_time()
        seen = Counter([await outcome(client, f"/{number}") for number in range(100)])
        assert trio.current_time() - began <= 2 * DEADLINE_S + SHORT_MAX_S + 0.1
        assert seen["DeadlineError"] == 2
        assert seen["StalledError"] == 98
        began = trio.current_time()
        await outcome(client, "/0")
        assert trio.current_time() - began <= SHORT_MAX_S


@virtual
async def test_other_routes_answer_meanwhile_and_are_not_refused() -> None:
    service = Service()
    service.silent = {"/0", "/1", "/2"}
    async with client_of(service) as client:
        for path in ("/0", "/1", "/2"):
            await outcome(client, path)
        assert not client.breaker.is_open
        assert await outcome(client, "/hubs", "hubs") == "ok"


@virtual
async def test_a_folder_that_alone_stalls_is_refused_and_its_siblings_are_not() -> None:
    service = Service()
    service.silent = {"/bad"}
    async with client_of(service) as client:
        assert await outcome(client, "/bad") == "DeadlineError"
        for number in range(50):
            assert await outcome(client, f"/{number}") == "ok"
            began = trio.current_time()
            assert await outcome(client, "/bad") == "StalledError"
            assert trio.current_time() - began <= SHORT_MAX_S
        assert service.calls["/bad"] < 20


@virtual
async def test_the_first_answer_ends_the_refusal_within_a_second() -> None:
    service = Service()
    service.silent = {f"/{number}" for number in range(9)}
    async with client_of(service) as client:
        for number in range(9):
            await outcome(client, f"/{number}")
        service.silent.clear()
        while await outcome(client, "/8") != "ok":
            await trio.sleep(0.1)
        began = trio.current_time()
        for number in range(9):
            assert await outcome(client, f"/{number}") == "ok"
        assert trio.current_time() - began <= 9 * 0.2 + 0.1


@virtual
async def test_a_probe_in_the_background_finds_out_by_itself_that_it_answers() -> None:
    service = Service()
    service.silent = {"/0", "/1"}
    async with client_of(service) as client:
        for number in (0, 1, 0, 1):
            await outcome(client, f"/{number}")
        service.silent.clear()
        await trio.sleep(26)  # the pause, and a probe that was under way
        calls = service.calls.total()
        began = trio.current_time()
        assert await outcome(client, "/0") == "ok"
        assert trio.current_time() - began == pytest.approx(0.2)
        assert service.calls.total() == calls + 1
        assert client.gauges()["stalls.ended"] >= 1


@virtual
async def test_a_folder_that_is_slow_but_alive_gets_through() -> None:
    """A short wait would never be enough for it: a probe in the background takes its time."""
    service = Service()
    service.silent = {"/slow"}
    async with client_of(service) as client:
        await outcome(client, "/slow")
        service.silent.clear()
        service.slow["/slow"] = 10.0
        for _ in range(60):
            if await outcome(client, "/slow") == "ok":
                break
            await trio.sleep(1)
        else:
            raise AssertionError("locked out")


@virtual
async def test_probes_in_the_background_are_few_and_end_when_nobody_asks() -> None:
    service = Service()
    service.silent = {f"/{number}" for number in range(30)}
    async with client_of(service) as client, trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(outcome, client, f"/{number}")
        await trio.sleep(DEADLINE_S + 1)
        service.peak = service.under_way
        await trio.sleep(300)
        assert service.peak <= PROBES_AT_ONCE + 1
        calls = service.calls.total()
        await trio.sleep(3600)
        assert service.calls.total() == calls


@virtual
async def test_speculation_does_not_occupy_what_stalls() -> None:
    service = Service()
    service.silent = {"/0", "/1"}
    async with client_of(service) as client:
        for number in (0, 1):
            await outcome(client, f"/{number}")
        await trio.sleep(100)
        calls = service.calls.total()
        with at_priority(RequestPriority(Priority.AHEAD)):
            for number in range(50):
                with pytest.raises(StalledError):
                    await client.request(a_call(f"/{number}"))
        assert service.calls.total() == calls


@virtual
async def test_a_host_that_is_silent_is_offline_and_nobody_waits_on() -> None:
    service = Service()
    service.all_silent = True
    async with client_of(service) as client, trio.open_nursery() as nursery:
        began = trio.current_time()
        nursery.start_soon(outcome, client, "/other")
        assert await outcome(client, "/0") in ("UnreachableError", "OfflineError")
        assert trio.current_time() - began < 15 + 3
        for number in range(100):
            with pytest.raises(OfflineError):
                await client.request(a_call(f"/{number}"))
        assert trio.current_time() - began < 15 + 3
        service.all_silent = False
        await trio.sleep(12)
        assert await outcome(client, "/0") == "ok"


@virtual
async def test_a_silence_shorter_than_the_engines_own_is_noticed_too() -> None:
    """With a deadline of 5 s no call lives to the 15 s after which the engine gives up."""
    service = Service()
    service.all_silent = True
    async with client_of(service) as client:
        with pytest.raises(DeadlineError), deadline(5, "list"):
            await client.request(a_call("/0"))
        await trio.sleep(2)
        assert client.breaker.is_open


@virtual
async def test_time_in_the_limiters_queue_is_no_stall() -> None:
    service = Service()
    async with client_of(service) as client:

        async def slow_queue(route: str, action: str) -> None:
            await trio.sleep(DEADLINE_S - 0.1)

        client._limiter.acquire = slow_queue  # type: ignore[method-assign]
        assert await outcome(client, "/0") == "DeadlineError"
        assert client.gauges()["stalls.known"] == 0


@virtual
async def test_a_walk_over_folders_that_fail_does_not_try_each_five_times() -> None:
    service = Service()
    service.broken = {f"/{number}" for number in range(100)}
    async with client_of(service) as client:
        for number in range(100):
            with pytest.raises(UnreachableError):
                await client.request(a_call(f"/{number}"))
        assert service.calls.total() <= FAILING_PATHS * ATTEMPTS + 98
        service.broken.clear()
        assert await outcome(client, "/0") == "ok"
