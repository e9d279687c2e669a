"""Killed ten times at any step, exports go on: no design is ordered twice, and all come."""

from __future__ import annotations

import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio

from dmfs.assembly import open_drive
from dmfs.drive import Drive
from dmfs.exports.records import ExportedFile
from dmfs.jobs.export import job
from tests.exports.exporting import PROJECT, content, exported, posts
from tests.support.helpers import real

KILLS = 10


class Killed(BaseException):
    """As SIGKILL: nothing is cleaned up that a handler of errors would clean up."""


class Steps:
    """Counts each commit and each call, before and after; dies at one of them."""

    def __init__(self, drive: Drive, kill_at: int) -> None:
        self.count = 0
        self._kill_at = kill_at
        self.dead = False
        assert drive.parts.exports is not None
        maker = drive.parts.exports.maker
        for owner, names in ((maker, ("put", "forget")), (maker.calls, ("order", "job", "result"))):
            for name in names:
                setattr(owner, name, self._watched(getattr(owner, name)))

    def _watched(self, work: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        async def run(*given: Any) -> Any:
            self._step()
            found = await work(*given)
            self._step()
            return found

        return run

    def _step(self) -> None:
        if self.dead:
            raise Killed
        self.count += 1
        if self.count > self._kill_at:
            self.dead = True
            raise Killed


async def run(settings: Any, kill_at: int, **more: Any) -> tuple[Any, Steps]:
    """One process; None as its outcome if it was killed."""
    outcome, steps = None, None
    try:
        async with open_drive(settings) as drive:
            steps = Steps(drive, kill_at)
            outcome = await exported(drive, PROJECT, recursive=True, **more)
    except BaseExceptionGroup as group:
        if group.split(Killed)[1] is not None:
            raise
    except Killed:
        pass
    assert steps is not None
    return outcome, steps


@pytest.mark.parametrize("seed", range(2))
@real
async def test_no_design_is_ordered_twice_by_ten_processes_of_which_each_is_killed(
    seed, emulator, settings, monkeypatch
):
    chosen, choice = settings(cache_size=2**26), random.Random(seed)
    emulator.exports(queue_polls=1)
    for _ in range(KILLS):
        outcome, steps = await run(chosen, choice.randrange(60), keep=True)
        assert outcome is None, "it was killed"
        assert steps.dead
    (events, error), _ = await run(chosen, 10**9, keep=True)
    counted = posts(emulator)
    assert max(counted.values()) == 1, "by the emulator's own count"
    in_doubt = [each for each in events if each["event"] == "failed"]
    assert len(in_doubt) <= KILLS, "one order is under way at a time"
    assert (error is not None) == bool(in_doubt)
    assert all("nobody can tell" in each["message"] for each in in_doubt)
    done = events[-1]
    assert done["failed"] == len(in_doubt)
    # who was told repeats the command a minute later
    monkeypatch.setattr(job, "wall_time_s", lambda: time.time() + 61)
    (events, error), _ = await run(chosen, 10**9, keep=True)
    assert error is None
    twice = [key for key, n in posts(emulator).items() if n > 1]
    assert len(twice) <= len(in_doubt)
    assert len(posts(emulator)) == 40
    await all_read_to_their_size(chosen, 40)


async def all_read_to_their_size(settings: Any, count: int) -> None:
    async with open_drive(settings) as drive:
        listing = await drive.list(await drive.resolve(PROJECT))  # type: ignore[arg-type]
        files = [each for each in listing.entries.values() if isinstance(each, ExportedFile)]
        assert len(files) == count
        for file in files:
            assert len(await content(drive, file)) == drive.stat(file).size_bytes > 0


@real
async def test_what_waits_for_the_rate_limit_is_in_no_doubt(settings):
    async with open_drive(settings(rates="new_download=1")) as drive:
        assert drive.parts.exports is not None
        maker = drive.parts.exports.maker
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: exported(drive, PROJECT, recursive=True, keep=True))
            while not maker.posts:
                await trio.sleep(0.01)
            await trio.sleep(0.15)
            assert len(maker.store.load(maker.scope)) == 1, "another one waits, and has no row"
            nursery.cancel_scope.cancel()


@real
async def test_an_order_under_way_is_waited_for_when_its_command_is_ended(emulator, settings):
    chosen = settings()
    emulator.settings(api_latency_ms=300)
    async with open_drive(chosen) as drive:
        assert drive.parts.exports is not None
        maker = drive.parts.exports.maker
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: exported(drive, PROJECT, recursive=True, keep=True))
                while not maker.posts:
                    await trio.sleep(0.01)
                scope.cancel()
        emulator.settings(api_latency_ms=0)
        rows = maker.store.load(maker.scope)
        assert {each.state for each in rows} == {"posted"}, "none is in doubt"
        assert len(rows) == 1
        assert len(posts(emulator)) == len(rows)


@real
async def test_who_was_killed_before_the_end_has_told_nobody(emulator, settings, monkeypatch):
    """Two runs a minute apart, of which the first one met the doubt and did not come to say so."""
    chosen, order = settings(), f"{PROJECT}/Part 001.url"
    emulator.fault("reset_before_headers", route="downloads_post", times=1)
    async with open_drive(chosen) as drive:
        assert drive.parts.exports is not None

        async def killed(_keys: Any) -> None:
            raise Killed

        drive.parts.exports.maker.warned = killed  # type: ignore[method-assign, assignment]
        with pytest.raises(Killed):
            await exported(drive, order, keep=True)
    monkeypatch.setattr(job, "wall_time_s", lambda: time.time() + 61)
    async with open_drive(chosen) as drive:
        _, error = await exported(drive, order, keep=True)
        assert error is not None
        assert list(posts(emulator).values()) == [1]
    monkeypatch.setattr(job, "wall_time_s", lambda: time.time() + 122)
    async with open_drive(chosen) as drive:
        _, error = await exported(drive, order, keep=True)
        assert error is None
        assert list(posts(emulator).values()) == [2]
