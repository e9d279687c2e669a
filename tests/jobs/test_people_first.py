"""A warm beside a person under the published limits, in virtual time; and what it says that these
allow."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import trio

from dmfs.errors import BusyError, DriveError
from dmfs.fetch.signed_urls import SignedUrls
from dmfs.http.circuit_breaker import CircuitBreaker
from dmfs.jobs.estimate import least_s
from dmfs.jobs.job import Tell
from dmfs.jobs.reports import lively
from dmfs.jobs.selection import Filter, newer_ns_of
from dmfs.model import File, SignedObject
from dmfs.namespace.listings import Freshness, Listings
from dmfs.ratelimit.limiter import QuotaUse, RateLimiter
from dmfs.ratelimit.limits import Priority, Rate
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.ratelimit.shared_log import MemoryRateLog
from tests.drive.test_limited import CALL_S, RATE, Service, folder
from tests.support.helpers import a_file, virtual
from tests.support.made_drives import a_drive
from tests.support.told import Told, run_job

FOLDERS = 700
"""More than two minutes of the rate."""


@virtual
async def test_a_persons_ls_waits_for_no_warm() -> None:
    service = Service(1)
    service.below = {
        name: [each for each in below if int(each) < FOLDERS]
        for name, below in service.below.items()
    } | {"": ["0"]}
    waits: list[float] = []
    async with trio.open_nursery() as nursery:
        listings = Listings(
            service.list_children, service.no_size, nursery, freshness=Freshness(ttl=7200),
            timeout_s=30, service_folders=False,
        )  # fmt: skip
        drive = a_drive(
            listings=listings, limiter=service.limiter,
            client=SimpleNamespace(breaker=CircuitBreaker(), gauges=dict),
        )  # fmt: skip

        async def person() -> None:
            for number in range(12):
                await trio.sleep(9.7)
                # one that nobody has listed, and one that waits in the queue of the warm
                for each in (folder(f"elsewhere {number}"), folder(str(FOLDERS - 1 - number))):
                    began = trio.current_time()
                    await listings.get(each)
                    waits.append(trio.current_time() - began)

        nursery.start_soon(person)
        began = trio.current_time()
        told = await run_job(drive, "warm", paths=["/0"], listings_only=True)
        took_s = trio.current_time() - began
        nursery.cancel_scope.cancel()
    assert told.last["folders"] == FOLDERS
    assert not told.of("failed")
    assert max(waits) < 2 * CALL_S  # a call takes half a second, and the wait for it no time
    assert took_s < 1.3 * FOLDERS / RATE.limit * RATE.window_s


@pytest.mark.parametrize(("count", "used"), [(10, 0), (940, 0), (940, 500), (3000, 0), (50, 1000)])
def test_the_least_time_is_what_the_limiter_allows(count: int, used: int) -> None:
    @virtual
    async def run() -> None:
        rates, log = {"oss": Rate(1000), "contents": Rate(300)}, MemoryRateLog()
        limiter = RateLimiter(rates, log)
        for _ in range(used):  # by people, just now
            await log.take("oss", rates["oss"], Priority.LOOKUP)
        least = least_s({"sign": count}, await limiter.quotas())
        began = trio.current_time()
        with at_priority(RequestPriority(Priority.AHEAD)):
            for _ in range(count):
                await limiter.acquire("sign", "open")
        took_s = trio.current_time() - began
        # the limiter spreads what does not go at once, so that nobody stands still for a minute
        assert least <= took_s + 0.1
        assert took_s <= least + 62

    run()


def test_the_least_time_of_nothing_and_of_what_is_held() -> None:
    held = QuotaUse("oss", 0, 1000, 60.0, 17.0, 0)
    assert least_s({"sign": 0}, [held]) == 0
    assert least_s({"sign": 1}, [held]) == 17.0
    assert least_s({"sign": 1_000_000}, []) == 0  # no rates


class Signer:
    """Signs through a limiter."""

    def __init__(self, limiter: RateLimiter) -> None:
        self._limiter = limiter
        self.calls = 0

    async def sign(self, file: File) -> SignedObject:
        await self._limiter.acquire("sign", "open")
        self.calls += 1
        return SignedObject(1000, "", (), trio.current_time() + 3600)


@virtual
async def test_a_reader_that_joins_a_signing_ahead_does_not_wait_as_it_does() -> None:
    limiter = RateLimiter({"oss": Rate(100)})
    signer = Signer(limiter)
    async with trio.open_nursery() as nursery:
        urls = SignedUrls(signer, nursery, timeout_s=28)
        failures: list[DriveError] = []

        async def ahead(number: int) -> None:
            with at_priority(RequestPriority(Priority.AHEAD)):
                try:
                    await urls.sign(a_file(f"{number}"))
                except DriveError as error:
                    failures.append(error)

        for number in range(120):
            nursery.start_soon(ahead, number)
        await trio.sleep(10)
        assert 80 <= signer.calls <= 97
        waiting = next(n for n in range(120) if urls.peek(a_file(f"{n}")) is None)
        began = trio.current_time()
        await urls.sign(a_file(f"{waiting}"))
        assert trio.current_time() - began < 0.5
        # one whose time in the queue is over just as a reader joins is signed anew
        await trio.sleep(28 - 10 - 0.01)
        late = next(n for n in range(120) if urls.peek(a_file(f"{n}")) is None)
        assert (await urls.sign(a_file(f"{late}"))).size_bytes == 1000
        await trio.sleep(1)
        assert failures
        assert all(isinstance(error, BusyError) for error in failures)
        nursery.cancel_scope.cancel()


def test_what_is_chosen() -> None:
    file = a_file("plan.dwg", 100, mtime_ns=1_714_550_400 * 10**9)  # 2024-05-01T08:00:00Z
    path = "/Hub/Project/A [1]\nB/plan.dwg"
    for match, yes in (
        (None, True), ("*.dwg", True), ("plan.*", True), ("*", True), ("lan.dwg", False),
        ("*B/*.dwg", True), ("/A*/plan.dwg", True), ("Hub/*", True), ("B/plan.dwg", False),
        ("[pq]lan.dwg", True),
    ):  # fmt: skip
        assert Filter(match, None, None).takes(file, path, 100) is yes, match
    for newer, yes in (
        ("2024-05-01", True), ("2024-05-01T08:00Z", False), ("2024-05-01T07:59", True),
        ("2024-05-01T09:30+02:00", True), ("7d", False), ("9d", True), ("200h", True),
    ):  # fmt: skip
        newer_ns = newer_ns_of(newer, 1_714_550_400 + 8 * 86_400)
        assert Filter(None, newer_ns, None).takes(file, path, 100) is yes, newer
    assert Filter(None, None, 100).takes(file, path, 100)
    assert not Filter(None, None, 99).takes(file, path, 100)


@virtual
async def test_a_job_without_news_says_that_it_lives() -> None:
    """And many of its tasks may tell at once; its error comes out bare."""

    async def job(_drive: object, _parameters: object, tell: Tell) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(tell, {"event": "progress", "done": number})
        await trio.sleep(25)
        await tell({"event": "done"})
        await trio.sleep(8)
        raise BusyError("at the end")

    told = Told()
    with pytest.raises(BusyError, match="at the end"):
        await lively(job)(a_drive(), {}, told)
    kinds = [event["event"] for event in told.events]
    assert kinds == ["progress"] * 5 + ["idle", "idle", "done"]
