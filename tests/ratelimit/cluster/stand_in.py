"""A coordinator in memory, and machines that ask it: whole clusters in virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trio

from dmfs.errors import UnreachableError
from dmfs.ratelimit.cluster.coordinator import Seen
from dmfs.ratelimit.cluster.ledger import ClusterRateLog
from dmfs.ratelimit.cluster.plan import FORGOT_S
from dmfs.ratelimit.limits import Priority, Rate
from dmfs.ratelimit.shared_log import FileRateLog

QUOTA = "contents"


class Server:
    """What the server would hold, by its own clock."""

    def __init__(self) -> None:
        self.up = True
        self.clock_ahead_s = 0.0
        self.empty()

    def empty(self) -> None:
        self.calls: dict[str, list[float]] = {}
        self.held: dict[str, float] = {}
        self.memory, self.back_at = "", 0.0

    def now(self) -> float:
        return trio.current_time() + self.clock_ahead_s


class StandIn:
    """As ``Coordinator``; its window as the script of the library decides."""

    where, skew_s = "valkey://stand-in:6379/0", 0.0

    def __init__(self, server: Server) -> None:
        self._server = server
        self._offset_s: float | None = None

    def _reach(self) -> Server:
        if not self._server.up:
            raise UnreachableError("the coordinator does not answer")
        return self._server

    def look(self, quotas: Sequence[str], memory: str) -> Seen:
        server, at = self._reach(), trio.current_time()
        offset_s, before = server.now() - at, self._offset_s
        self._offset_s = offset_s
        if before is not None and offset_s > before + FORGOT_S and server.memory == memory:
            server.memory = ""
        server.memory = server.memory or f"run {server.now()}"
        calls = {
            quota: sorted(each - offset_s for each in server.calls.get(quota, ()))
            for quota in quotas
        }
        pauses = {
            quota: until - offset_s
            for quota, until in server.held.items()
            if quota in quotas and until > server.now()
        }
        age_s = server.now() - max(float(server.memory.split()[1]), server.back_at)
        return Seen(at, server.memory, age_s, calls, pauses)

    def take(self, quota: str, rate: Rate, allowed: int) -> float | None:
        server, at = self._reach(), trio.current_time()
        calls, now = server.calls.setdefault(quota, []), at + (self._offset_s or 0.0)
        if len(calls) >= allowed and calls[allowed - 1] >= now - round(rate.span_s):
            return None
        calls.insert(0, now)
        del calls[allowed:]
        return None if server.held.get(quota, 0.0) > server.now() else at

    def hold(self, quota: str, seconds: float) -> None:
        server = self._reach()
        server.held[quota] = max(server.held.get(quota, 0.0), server.now() + seconds)

    def came_back(self) -> None:
        server = self._reach()
        server.back_at = server.now()

    def enter(self, quota: str, rate: Rate, calls: Sequence[float]) -> None:
        known = self._reach().calls.setdefault(quota, [])
        known[:] = sorted(
            [*known, *(each + (self._offset_s or 0.0) for each in calls)], reverse=True
        )


class _Inline:
    async def run(self, work):
        await trio.lowlevel.checkpoint()
        return work()


async def _inline(work):
    await trio.lowlevel.checkpoint()
    return work()


def process(server: Server, state: Path, rates: dict[str, Rate], workers: int) -> ClusterRateLog:
    """The log of one process of the machine whose state directory that is."""
    files = [
        FileRateLog(state, "app", clock=trio.current_time, kind=kind)
        for kind in ("", "-alone", "-untold")
    ]
    for each in files:
        each._threads = _Inline()  # type: ignore[assignment]
    coordinator: Any = StandIn(server)
    machine, alone, untold = files
    log = ClusterRateLog(
        coordinator, machine, alone, untold, rates, workers, state / "told",
        clock=trio.current_time,
    )  # fmt: skip
    log._thread = _inline  # type: ignore[method-assign]
    return log


class Cluster:
    """Machines of two processes each, which call as often as they may while ``busy`` says so."""

    def __init__(self, directory: Path, machines: int, rate: Rate) -> None:
        self.server, self.rate = Server(), rate
        self.calls: list[tuple[float, int]] = []
        self.logs = [
            process(self.server, directory / str(number // 2), {QUOTA: rate}, machines)
            for number in range(2 * machines)
        ]

    async def _call(self, number: int, busy) -> None:
        while True:
            if not busy(number):
                await trio.sleep(0.5)
                continue
            seconds = await self.logs[number].take(QUOTA, self.rate, Priority.LOOKUP)
            if seconds > 0:
                await trio.sleep(min(seconds, 1.0))
            else:
                self.calls.append((trio.current_time(), number))
                await trio.sleep(0.05)

    async def run(self, story, busy) -> None:
        async with trio.open_nursery() as nursery:
            for number, log in enumerate(self.logs):
                await nursery.start(log.run)
                nursery.start_soon(self._call, number, busy)
            await story(self.server)
            nursery.cancel_scope.cancel()

    def most_in(self, span_s: float) -> int:
        """The most calls in any span."""
        times = sorted(at for at, _ in self.calls)
        first = most = 0
        for number, at in enumerate(times):
            while at - times[first] >= span_s:
                first += 1
            most = max(most, number - first + 1)
        return most
