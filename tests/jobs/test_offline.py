"""``offline``: what is cached goes on, nobody is asked, and no probe ends it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import trio

from dmfs.assembly import open_drive
from dmfs.config import Settings
from dmfs.drive import Drive
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import OfflineError, UsageError
from dmfs.fetch.hosts import HostBreakers
from dmfs.http.circuit_breaker import PROBE_MAX_S, CircuitBreaker
from dmfs.model import File
from tests.drive.test_without_mount import go_away, until
from tests.support.helpers import a_get, real, virtual
from tests.support.told import run_job

SMALL = "/Bench/Bench Project/Project Files/small"
MakeSettings = Callable[..., Settings]


async def read(drive: Drive, file: File) -> bytes:
    reader = await drive.open(file)
    try:
        return bytes((await reader.read(0, 1 << 20))[0])
    finally:
        reader.close()


async def files(drive: Drive) -> list[File]:
    folder = await drive.resolve(SMALL)
    listing = await drive.prepare(folder)  # type: ignore[arg-type] # it is one
    return [each for each in listing.entries.values() if isinstance(each, File)]


@real
async def test_work_offline_asks_nobody(emulator: EmulatorProcess, settings: MakeSettings) -> None:
    async with open_drive(settings(ttl=0.0)) as drive:
        cached, signed, other, *_ = await files(drive)
        data = await read(drive, cached)
        await drive.parts.sizes.authoritative(signed)
        began = drive.parts.client.breaker.changed_at_s
        told = await run_job(drive, "offline", on=True)
        assert told.events == [{"event": "done", "offline": True, "forced": True}]
        emulator.reset()
        assert drive.parts.client.breaker.forced
        assert drive.parts.client.breaker.changed_at_s > began
        assert await read(drive, cached) == data
        assert len(await files(drive)) == 40  # stale, and shown
        for file in (signed, other):  # a GET, and a signing
            with pytest.raises(OfflineError, match="offline") as caught:
                await read(drive, file)
            assert "dmfs offline off" in caught.value.hint
        await trio.sleep(1.5)  # neither a poll nor a probe
        assert not any(emulator.counts().values())
        assert drive.parts.client.breaker.is_open
        told = await run_job(drive, "offline", on=False)
        assert told.events == [{"event": "done", "offline": False, "forced": False}]
        assert emulator.counts()["other"]  # probed at once
        assert len(await read(drive, signed)) == signed.size_bytes
        assert len(await read(drive, other)) == other.size_bytes
        for wrong in ({}, {"on": "off"}, {"on": None}):
            with pytest.raises(UsageError):
                await run_job(drive, "offline", **wrong)


@real
async def test_what_is_under_way_is_given_up(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    async with open_drive(settings()) as drive:
        one, two, *_ = reversed(await files(drive))
        await drive.parts.sizes.authoritative(one)
        emulator.fault("stall_before_headers", origin="cdn", times=None, seconds=None)
        emulator.fault("stall_before_headers", route="sign", times=None, seconds=None)
        caught: list[OfflineError] = []

        async def reads(file: File) -> None:
            with pytest.raises(OfflineError) as raised:
                await read(drive, file)
            caught.append(raised.value)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(reads, one)
            nursery.start_soon(reads, two)
            await until(lambda: emulator.counts()["sign"] == 2 and emulator.counts()["cdn_get"])
            with trio.fail_after(10):
                await run_job(drive, "offline", on=True)
        assert all("dmfs offline off" in error.hint for error in caught)


@real
async def test_back_online_where_the_service_does_not_answer(
    emulator: EmulatorProcess, settings: MakeSettings
) -> None:
    """The person is told so, and the drive finds back by itself."""
    async with open_drive(settings()) as drive:
        await files(drive)
        await run_job(drive, "offline", on=True)
        go_away(emulator, 2.0, "api")
        told = await run_job(drive, "offline", on=False)
        assert told.last == {"event": "done", "offline": True, "forced": False}
        await until(lambda: drive.parts.client.breaker.is_open)
        assert not drive.parts.client.breaker.forced
        await until(lambda: not drive.parts.client.breaker.is_open)


@virtual
async def test_no_probe_closes_a_forced_breaker_and_none_is_sent() -> None:
    breaker = CircuitBreaker()
    there, probes, heard = True, 0, []

    async def probe(_timeout_s: float) -> bool:
        nonlocal probes
        probes += 1
        return there

    breaker.subscribe(on_open=lambda: heard.append("open"), on_close=lambda: heard.append("close"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(breaker.watch, probe)
        breaker.force(True)
        breaker.force(True)
        breaker.nudge()
        breaker.failed()
        await trio.sleep(10 * PROBE_MAX_S)
        assert (breaker.is_open, breaker.forced, probes, heard) == (True, True, 0, ["open"])
        breaker.force(False)
        assert (breaker.is_open, heard) == (False, ["open", "close"])
        await trio.sleep(0.1)
        assert probes == 1
        # away by itself, then forced: letting it go does not close it before a probe does
        there = False
        breaker.failed()
        await trio.sleep(3)
        assert (breaker.is_open, heard) == (True, ["open", "close", "open"])
        since = breaker.changed_at_s
        breaker.force(True)
        there = True
        await trio.sleep(10 * PROBE_MAX_S)
        assert breaker.is_open
        breaker.force(False)
        assert (breaker.is_open, breaker.changed_at_s) == (True, since)
        await trio.sleep(0.1)
        assert (breaker.is_open, heard) == (False, ["open", "close"] * 2)
        nursery.cancel_scope.cancel()


@virtual
async def test_a_probe_that_is_under_way_does_not_close_it() -> None:
    breaker = CircuitBreaker()
    answers = [False, False]

    async def probe(_timeout_s: float) -> bool:
        await trio.sleep(0.5)
        return answers.pop() if answers else True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(breaker.watch, probe)
        breaker.failed()
        await trio.sleep(1.2 + 1.2)  # open; the next probe is on its way
        assert breaker.is_open
        breaker.force(True)
        await trio.sleep(5)
        breaker.force(False)
        assert breaker.is_open
        await trio.sleep(5)
        assert not breaker.is_open
        nursery.cancel_scope.cancel()


@virtual
async def test_a_host_that_is_met_later_is_away_as_well() -> None:
    class Fetcher:
        fetched = 0

        async def fetch(self, _request: object) -> None:
            self.fetched += 1

    async def reach(_origin: str, _timeout_s: float) -> bool:
        return True

    fetcher = Fetcher()
    async with trio.open_nursery() as nursery:
        hosts = HostBreakers(fetcher, reach, nursery)
        hosts.force(True)
        for number in range(20):  # more than are watched
            with pytest.raises(OfflineError):
                await hosts.fetch(a_get(f"https://host{number}/x", 1))
        assert fetcher.fetched == 0
        hosts.force(False)
        await hosts.fetch(a_get("https://host3/x", 1))
        assert fetcher.fetched == 1
        nursery.cancel_scope.cancel()
