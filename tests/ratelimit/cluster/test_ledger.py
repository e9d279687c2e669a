"""Machines share one quota at a real server, and are never over it without one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio

from dmfs.config import Settings
from dmfs.errors import UnreachableError
from dmfs.quota import open_limiter
from dmfs.ratelimit.cluster import ledger, plan
from dmfs.ratelimit.cluster.coordinator import Coordinator
from dmfs.ratelimit.cluster.ledger import ALONE, SETTLING, SHARED, ClusterRateLog
from dmfs.ratelimit.limits import Priority, Rate
from dmfs.ratelimit.shared_log import FileRateLog
from dmfs.system.clock import wall_time_s
from tests.support.coordinators import SERVER, Server
from tests.support.helpers import real

pytestmark = [
    pytest.mark.tool,
    pytest.mark.skipif(not SERVER, reason="no redis-server or valkey-server"),
]
RATE = Rate(24, 1.0)
KEPT = plan.cluster_rate(RATE)
RATES = {"contents": RATE}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "server").start()
    yield made
    made.kill()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server is believed soon, as nothing was called before."""
    monkeypatch.setattr(plan, "SETTLE_S", 0.0)
    monkeypatch.setattr(plan, "GUARD_S", 0.0)
    monkeypatch.setattr(ledger, "GUARD_S", 0.02)
    monkeypatch.setattr(ledger, "RETRY_FIRST_S", 0.02)
    monkeypatch.setattr(ledger, "RETRY_MAX_S", 0.05)


def _wall(off_s: float) -> float:
    return wall_time_s() + off_s


@asynccontextmanager
async def machines(server: Server, directory: Path, count: int, *, workers: int = 3, wall_off=0.0):
    """The logs of so many machines; the last one's clock is ``wall_off`` off."""
    async with trio.open_nursery() as nursery:
        made = []
        for number in range(count):
            state = directory / str(number)
            off = wall_off if number == count - 1 else 0.0
            coordinator = Coordinator(server.url, "app", wall=partial(_wall, off))
            log = ClusterRateLog(
                coordinator, FileRateLog(state, "app"), FileRateLog(state, "app", kind="-alone"),
                FileRateLog(state, "app", kind="-untold"),
                RATES, workers, state / "cluster",
            )  # fmt: skip
            await nursery.start(log.run)
            made.append(log)
        yield made
        nursery.cancel_scope.cancel()


async def taken(log: ClusterRateLog, calls: int, priority: Priority = Priority.LOOKUP) -> int:
    """Of so many calls, those let through at once."""
    return [await log.take("contents", RATE, priority) for _ in range(calls)].count(0)


async def becomes(log: ClusterRateLog, state: str) -> None:
    with trio.fail_after(10):
        while log.sharing()["state"] != state:
            await trio.sleep(0.01)


@real
async def test_the_limit_is_that_of_all_machines_together(server, tmp_path):
    async with machines(server, tmp_path, 3, wall_off=-3.0) as (one, two, three):
        assert [log.sharing()["state"] for log in (one, two, three)] == [SHARED] * 3
        assert await taken(one, 10) == 10
        assert await taken(two, 10) == 10
        assert await taken(three, 10) == 4, "also of the one whose clock is off"
        assert three.sharing()["skew_s"] == pytest.approx(-3.0, abs=0.1)
        assert await taken(one, 1) == 0
        assert (await two.look(RATES))["contents"].calls >= 20


@real
async def test_background_calls_leave_the_reserve_of_all(server, tmp_path):
    async with machines(server, tmp_path, 2) as (one, two):
        assert await taken(one, 20) == 20
        assert await two.take("contents", RATE, Priority.POLL) > 0
        assert await taken(two, 30) == 4


@real
async def test_a_429_of_one_machine_holds_all(server, tmp_path):
    async with machines(server, tmp_path, 2) as (one, two):
        assert await taken(two, 1) == 1
        one.back_off("contents", 30.0)
        await trio.sleep(0.1)
        two._looked_at.clear()  # a second has passed
        assert await two.take("contents", RATE, Priority.LOOKUP) == pytest.approx(30.0, abs=1.0)


@real
async def test_without_rates_the_429s_of_other_machines_hold_too(server, tmp_path):
    async with machines(server, tmp_path, 2) as (one, two):
        assert await two.take("oss", None, Priority.READ) == 0
        one.back_off("oss", 30.0)
        await trio.sleep(0.1)
        assert await two._beat()
        assert await two.take("oss", None, Priority.READ) == pytest.approx(30.0, abs=1.0)


@real
async def test_without_the_server_each_has_its_share_of_what_was_left(server, tmp_path, caplog):
    async with machines(server, tmp_path, 3) as logs:
        assert await taken(logs[0], 6) == 6
        for log in logs[1:]:
            assert await taken(log, 1) == 1
            await log._look(["contents"])
        await logs[0]._look(["contents"])
        server.kill()
        got = [await taken(log, 24) for log in logs]
        assert got == [5, 5, 5], "24 less 8 that count, for three"
        assert [log.sharing()["state"] for log in logs] == [ALONE] * 3
        assert len([each for each in caplog.records if "1/3" in each.getMessage()]) == 3


@real
async def test_what_a_process_never_called_it_knows_of_when_the_server_goes(server, tmp_path):
    async with machines(server, tmp_path, 2) as (one, two):
        assert await taken(one, 24) == 24
        assert await two._beat()
        server.kill()
        assert await taken(two, 1) == 0, "all of it is used up"


@real
async def test_what_was_called_without_the_server_counts_when_it_is_back(server, tmp_path):
    async with machines(server, tmp_path, 3) as logs:
        server.kill()
        assert [await taken(log, 24) for log in logs] == [8, 8, 8]
        server.start()
        for log in logs:
            await becomes(log, SHARED)
        assert sum([await taken(log, 24) for log in logs]) == 0, "no burst"
        assert logs[0].gauges()["ratelimit.cluster.entered"] == 8


@real
async def test_a_server_that_was_emptied_is_told_all_again(server, tmp_path):
    async with machines(server, tmp_path, 2) as (one, two):
        assert await taken(one, 20) == 20
        one._coordinator._storage.get_connection().flushall()
        two._looked_at.clear()
        one._looked_at.clear()
        await taken(two, 1)
        await taken(one, 1)
        await becomes(one, SHARED)
        await becomes(two, SHARED)
        await trio.sleep(0.1)
        assert await taken(two, 24) <= 4


@real
async def test_a_server_that_lost_its_memory_is_not_believed_at_once(server, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "SETTLE_S", 60.0)
    async with machines(server, tmp_path, 2) as (one, _):
        assert one.sharing()["state"] == SETTLING
        assert await taken(one, 24) == 8, "its share"
        with trio.fail_after(5):  # its own task may be about it
            while one.gauges()["ratelimit.cluster.entered"] != 8:
                assert await one._beat()
        assert await taken(one, 24) == 0, "what was told counts on"


def test_a_server_that_comes_back_with_an_old_snapshot_has_lost_its_memory(tmp_path):
    """Within two looks nobody sees that it was away, and its word is that of before."""
    server = Server(tmp_path / "kept", "--dir", str(tmp_path), "--save", "3600 1").start()
    coordinator = Coordinator(server.url, "app")
    first = coordinator.look(["contents"], "")
    coordinator._storage.get_connection().save()
    assert coordinator.take("contents", KEPT, 24) is not None
    before = coordinator.look(["contents"], first.memory)
    assert (before.memory, len(before.calls["contents"])) == (first.memory, 1)
    time.sleep(0.1)
    server.kill()
    server.start()
    after = coordinator.look(["contents"], first.memory)
    assert after.calls["contents"] == []
    assert after.memory != first.memory
    assert after.memory_age_s < 0.1
    coordinator.close()
    server.kill()


def test_a_memory_that_begins_during_a_slow_look_is_not_older_than_that(server):
    """Its age was negative, as that of a clock that was set back: it was believed at once."""
    coordinator = Coordinator(server.url, "app")
    coordinator._connected()
    begin = coordinator._open

    def slowly(*words):
        time.sleep(0.1)
        return begin(*words)

    coordinator._open = slowly
    assert 0 <= coordinator.look(["contents"], "").memory_age_s < 0.1
    coordinator.close()


@real
async def test_what_one_machine_lost_and_found_is_incomplete_to_all(server, tmp_path, monkeypatch):
    async with machines(server, tmp_path, 2) as (one, two):
        assert await taken(two, 1) == 1
        one._lost(UnreachableError("the network to it fails, of one alone"))
        monkeypatch.setattr(plan, "SETTLE_S", 60.0)
        with trio.fail_after(5):
            while one._was_away:
                await trio.sleep(0.02)
        two._looked_at.clear()  # a second has passed
        assert await taken(two, 24) <= 8, "its share alone"
        assert two.sharing()["state"] == SETTLING


@real
async def test_a_clock_that_is_set_forward_begins_the_memory_anew(server, tmp_path, monkeypatch):
    async with machines(server, tmp_path, 2) as (one, two):
        assert await taken(one, 2) == 2
        before = one._memory
        clock = one._coordinator._server_clock
        samples = [(doubt, offset - 30.0) for doubt, offset in clock._samples]
        clock._samples.clear()
        clock._samples.extend(samples)
        await one._look(["contents"])
        assert one._memory != before
        await two._look(["contents"])
        assert two._memory == one._memory, "one of them begins it"


@real
async def test_no_server_from_the_start(tmp_path):
    async with machines(Server(tmp_path / "none"), tmp_path, 1) as (log,):
        assert log.sharing()["state"] == ALONE
        assert await taken(log, 24) == 8


@real
async def test_commands_one_after_the_other_count_their_calls_once(server, tmp_path):
    for app in ("app", "another") * 2:
        chosen = Settings(
            client_id=app, state_dir=tmp_path, quota=server.url, rates="oss=24", rate_window=30.0
        )
        async with trio.open_nursery() as nursery:
            limiter = await open_limiter(chosen, nursery)
            assert (limiter.sharing() or {})["state"] == SHARED
            for _ in range(6):
                await limiter.acquire("oss", "sign")
            (used,) = [each.used for each in await limiter.quotas() if each.name == "oss"]
            nursery.cancel_scope.cancel()
    assert used == 12
