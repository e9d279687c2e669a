"""The rate log of many machines: the coordinator's, this machine's beside it, and shares without.

A call asks the coordinator first (it counts for all), then enters this machine's log (which the
machine's other processes and the next share go by). Nobody waits for a coordinator that is away:
the task ``run`` finds out when it is back, and tells it what was called meanwhile before it is
asked again.
"""

from __future__ import annotations

import logging
import random
from bisect import insort
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import trio

from dmfs.errors import UnreachableError
from dmfs.ratelimit.cluster.coordinator import CALLS_MAX, TIMEOUT_S, Coordinator, Seen
from dmfs.ratelimit.cluster.plan import (
    ASK_PAUSE_S,
    BEAT_S,
    GRANT_GOOD_S,
    GUARD_S,
    LOOK_S,
    RETRY_FIRST_S,
    RETRY_MAX_S,
    SKEW_S,
    cluster_rate,
    phase,
    share,
    share_grows_in_s,
    with_granted,
)
from dmfs.ratelimit.limits import SHARE, Priority, Rate, wait_s
from dmfs.ratelimit.shared_log import FileRateLog, Use, tell_once
from dmfs.system.backoff import backoff_s
from dmfs.system.clock import boot_time_s, iso_seconds, wall_time_s
from dmfs.system.concurrency import in_thread

T = TypeVar("T")
log = logging.getLogger(__name__)

SHARED, SETTLING, ALONE = "shared", "settling", "alone"
PATIENCE_S = 2.5 * TIMEOUT_S
"""A name that is not resolved has no timeout of its own."""
PLACES = 4
NEVER = -float("inf")


class ClusterRateLog:
    """See ``RateLog``. ``run`` must be going on."""

    def __init__(
        self, coordinator: Coordinator, machine: FileRateLog, alone: FileRateLog,
        untold: FileRateLog, rates: Mapping[str, Rate], workers: int, marker: Path,
        clock: Callable[[], float] = boot_time_s,
    ) -> None:  # fmt: skip
        self._coordinator, self._machine = coordinator, machine
        self._alone, self._untold = alone, untold
        """Calls without the coordinator: those count against the share for a window, whether they
        were told or not; these are to be told."""
        self._rates, self._workers, self._marker, self._clock = rates, workers, marker, clock
        self._threads = trio.CapacityLimiter(PLACES)
        self._locks: dict[str, trio.Lock] = {}
        self._state, self._since_s, self._reason = ALONE, wall_time_s(), "not asked yet"
        self._memory, self._opened_at = "", NEVER
        self._calls: dict[str, list[float]] = {}
        """What the coordinator knew when it was looked at last, and what it granted us since."""
        self._looked_at: dict[str, float] = {}
        self._held_until: dict[str, float] = {}
        self._ask_at: dict[str, float] = {}
        self._pauses_to_tell: dict[str, float] = {}
        self._news = trio.Event()
        self._warned = self._skew_warned = self._was_away = False
        self._questions = self._refused = self._lost_times = self._alone_calls = self._entered = 0

    async def take(self, quota: str, rate: Rate | None, priority: Priority) -> float:
        """See ``RateLog``."""
        now = self._clock()
        held_s = max(self._held_until.get(quota, NEVER), self._ask_at.get(quota, NEVER)) - now
        if held_s > 0:
            return held_s
        if rate is None:
            self._calls.setdefault(quota, [])  # looked at for the other machines' 429s
            return await self._machine.take(quota, None, priority)
        granted_at = now
        async with self._locks.setdefault(quota, trio.Lock()):
            shared = self._state == SHARED
            if shared:
                try:
                    seconds = await self._take_shared(quota, rate, priority)
                    granted_at = self._clock() if seconds else self._calls_granted_at
                except UnreachableError as error:
                    self._lost(error)
                    shared = False
            if not shared:
                seconds = await self._take_alone(quota, rate, priority)
        if seconds > 0:
            return seconds
        seconds = await self._machine.take(quota, rate, Priority.LOOKUP)
        if seconds > 0:  # a process here that does not share: its calls or its 429
            self._ask_at[quota] = self._clock() + min(seconds, LOOK_S)
        elif shared and self._clock() - granted_at > GRANT_GOOD_S:
            return ASK_PAUSE_S
        return seconds

    _calls_granted_at = NEVER

    async def _take_shared(self, quota: str, rate: Rate, priority: Priority) -> float:
        if self._clock() - self._looked_at.get(quota, NEVER) > LOOK_S:
            await self._look([quota])
            if self._state != SHARED:
                return ASK_PAUSE_S
        now, among_all = self._clock(), cluster_rate(rate)
        held_s = self._held_until.get(quota, NEVER) - now
        if held_s > 0:
            return held_s
        calls = self._calls.setdefault(quota, [])
        counting = [each for each in calls if each > now - among_all.span_s]
        seconds = wait_s(among_all, counting, priority, now)
        if seconds > 0:
            return seconds
        self._questions += 1
        allowed = max(1, int(among_all.limit * SHARE[priority]))
        at = await self._thread(partial(self._coordinator.take, quota, among_all, allowed))
        if at is None:  # another machine was quicker
            self._refused += 1
            self._looked_at.pop(quota, None)
            pause_s = ASK_PAUSE_S * (0.5 + random.random())
            self._ask_at[quota] = self._clock() + pause_s
            return pause_s
        insort(calls, at)
        self._calls_granted_at = at
        return 0.0

    async def _take_alone(self, quota: str, rate: Rate, priority: Priority) -> float:
        now, among_all = self._clock(), cluster_rate(rate)
        if self._state == SETTLING:
            now_is = phase(now - self._opened_at)
            if not now_is.may_call or now_is.may_share:
                return max(now_is.again_s, ASK_PAUSE_S)
        known = self._calls.get(quota, [])
        calls = share(among_all, known, self._workers, now)
        if calls < 1:
            return max(share_grows_in_s(among_all, known, self._workers, now), ASK_PAUSE_S)
        seconds = await self._alone.take(quota, Rate(calls, among_all.window_s), priority)
        if seconds <= 0:
            self._alone_calls += 1
            await self._untold.take(quota, Rate(CALLS_MAX, among_all.window_s), Priority.LOOKUP)
        return seconds

    def back_off(self, quota: str, seconds: float) -> None:
        """See ``RateLog``. The other machines know within a second or two."""
        self._machine.back_off(quota, seconds)
        until = self._clock() + seconds
        self._held_until[quota] = max(until, self._held_until.get(quota, NEVER))
        self._pauses_to_tell[quota] = self._held_until[quota]
        self._news.set()

    async def look(self, rates: Mapping[str, Rate]) -> dict[str, Use]:
        """See ``RateLog``: what the coordinator knew last, or more that this machine knows."""
        found, now = await self._machine.look(rates), self._clock()
        for name, rate in rates.items():
            since = now - cluster_rate(rate).span_s
            calls = sum(each > since for each in self._calls.get(name, ()))
            held_s = max(0.0, self._held_until.get(name, NEVER) - now)
            own = found[name]
            found[name] = Use(max(calls, own.calls), max(held_s, own.held_for_s))
        return found

    def sharing(self) -> dict[str, Any]:
        """For a status: ``where``, ``state`` (shared, settling, alone), ``since``, ``reason``,
        ``workers`` (the share is one part of so many), ``skew_s``."""
        return {
            "where": self._coordinator.where, "state": self._state,
            "since": iso_seconds(self._since_s), "reason": self._reason,
            "workers": self._workers, "skew_s": round(self._coordinator.skew_s, 3),
        }  # fmt: skip

    def gauges(self) -> dict[str, int]:
        """Those of this machine's log; questions to the coordinator, how many were refused, calls
        on the own share, calls told afterwards, and how often it was lost."""
        return self._machine.gauges() | {
            "ratelimit.cluster.asked": self._questions,
            "ratelimit.cluster.refused": self._refused,
            "ratelimit.cluster.alone_calls": self._alone_calls,
            "ratelimit.cluster.entered": self._entered,
            "ratelimit.cluster.lost": self._lost_times,
        }

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Look at the coordinator now and then, for ever; started after the first look, that the
        first calls of a short command are shared."""
        failures, first = 0, True
        while True:
            self._news = trio.Event()
            failures = 0 if await self._beat() else failures + 1
            if first:
                first = False
                task_status.started()
            pause_s = backoff_s(failures, RETRY_FIRST_S, RETRY_MAX_S) if failures else BEAT_S
            if self._state == SETTLING:
                again_s = phase(self._clock() - self._opened_at).again_s
                pause_s = min(GUARD_S / 2, again_s + 0.01)
            with trio.move_on_after(pause_s):
                await self._news.wait()
                await trio.sleep(0.01)

    async def _beat(self) -> bool:
        """Look, tell what it does not know, and decide what holds; False if it is away."""
        try:
            if self._was_away:
                # it may be back with its memory, and lack what others called meanwhile
                await self._thread(self._coordinator.came_back)
                self._was_away = False
            # also those that are not used here yet: without it their share goes by what was seen
            seen = await self._look(list({**self._rates, **self._calls}))
            for quota, until in list(self._pauses_to_tell.items()):
                if (seconds := until - self._clock()) > 0:
                    await self._thread(partial(self._coordinator.hold, quota, seconds))
                del self._pauses_to_tell[quota]
            now_is = phase(self._clock() - self._opened_at)
            if self._state != SHARED:
                await self._tell(seen.memory)
                self._becomes(SHARED if now_is.may_share else SETTLING, "")
        except UnreachableError as error:
            self._lost(error)
            return False
        return True

    async def _look(self, quotas: list[str]) -> Seen:
        began = self._clock()
        seen: Seen = await self._thread(partial(self._coordinator.look, quotas, self._memory))
        if seen.memory != self._memory:
            if self._memory and self._state == SHARED:  # it was emptied, or another took its place
                self._becomes(SETTLING, "")
                self._news.set()
            self._memory = seen.memory
        self._opened_at = seen.at - seen.memory_age_s
        if self._state == SHARED and not phase(seen.memory_age_s).may_share:
            self._becomes(SETTLING, "")  # others came back to it
            self._news.set()
        for quota in quotas if self._state == SHARED else ():
            self._calls[quota] = with_granted(seen.calls[quota], self._calls.get(quota, ()), began)
            self._looked_at[quota] = seen.at
        for quota, until in seen.pauses.items():
            self._held_until[quota] = max(until, self._held_until.get(quota, NEVER))
        if abs(self._coordinator.skew_s) > SKEW_S and not self._skew_warned:
            self._skew_warned = True
            log.warning(
                "the clock of this machine is %+.1f s off that of the coordinator %s; "
                "its time is used for the quota", self._coordinator.skew_s, self._coordinator.where,
            )  # fmt: skip
        return seen

    async def _tell(self, memory: str) -> None:
        """Enter what was called without the coordinator; all calls of this machine if it lost its
        memory. What cannot be told is told the next time."""
        alone = {quota: await self._untold.drain(quota) for quota in self._rates}

        def tell() -> None:
            for quota, calls in self._machine.read(self._rates).items():
                self._enter(quota, calls)
            alone.clear()

        def work() -> None:
            tell_once(self._marker, memory, tell)
            for quota in list(alone):
                self._enter(quota, alone[quota])
                del alone[quota]

        try:
            await self._thread(work)
        finally:
            for quota, calls in alone.items():
                self._untold.give_back(quota, calls)

    def _enter(self, quota: str, calls: list[float]) -> None:
        """In a thread."""
        among_all = cluster_rate(self._rates[quota])
        counting = [each for each in calls if each > self._clock() - among_all.span_s]
        if counting:
            self._coordinator.enter(quota, among_all, counting)
            self._entered += len(counting)

    async def _thread(self, work: Callable[[], T]) -> T:
        """UnreachableError too when it takes too long, or there is no thread."""
        try:
            with trio.move_on_after(PATIENCE_S):
                return await in_thread(work, self._threads)
        except OSError as error:
            raise UnreachableError(f"cannot ask for the quota: {error}") from None
        raise UnreachableError(
            f"the coordinator of the quota at {self._coordinator.where} does not answer"
        )

    def _lost(self, error: UnreachableError) -> None:
        if self._state != ALONE or not self._warned:
            self._lost_times += 1
            log.warning(
                "%s; this machine takes 1/%d of each quota until it does",
                error.message, self._workers,
            )  # fmt: skip
            self._warned = True
            self._news.set()
        self._was_away = True
        self._becomes(ALONE, error.message)

    def _becomes(self, state: str, reason: str) -> None:
        if state != self._state:
            self._state, self._since_s = state, wall_time_s()
            if state == SHARED:
                self._ask_at.clear()
                log.info("the quota is shared at %s", self._coordinator.where)
        self._reason = reason
