"""Whose turn it is: slots of uploads, places of parts, new files a minute, bytes in memory."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import NamedTuple

import trio

from dmfs.write.records import DraftId
from dmfs.write.upload.ports import Rules

MINUTE_S = 60.0
READERS_LOOK_S = 1.0
SMALL_BYTES = 1024**2
"""A part of so many bytes is neither counted nor limited: there are no more of them than slots."""


class Waiting(NamedTuple):
    """One that wants a slot. ``since``: trio's clock."""

    draft_id: DraftId
    size_bytes: int
    new_item: bool
    since: float


def choose(
    waiting: Iterable[Waiting], running: Iterable[Waiting], now: float, rules: Rules
) -> Waiting | None:
    """The next that gets a slot: small ones first, but nobody waits longer than the patience
    behind them. New items and large files never take all slots: a save would wait for them."""
    under_way = list(running)
    if len(under_way) >= rules.uploads_at_once:
        return None
    items_full = sum(each.new_item for each in under_way) >= rules.new_items_at_once
    large = rules.large_bytes
    large_full = sum(each.size_bytes > large for each in under_way) >= rules.large_at_once
    able = [
        each
        for each in waiting
        if not (items_full and each.new_item) and not (large_full and each.size_bytes > large)
    ]
    late = [each for each in able if now - each.since >= rules.patience_s]
    if late:
        return min(late, key=lambda each: each.since)
    return min(able, key=lambda each: (each.size_bytes, each.since), default=None)


class Slots:
    """Of uploads: one a draft, so that one that hangs blocks nobody else."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._waiting: dict[DraftId, tuple[Waiting, trio.Event]] = {}
        self._running: dict[DraftId, Waiting] = {}
        self._closed = False

    @property
    def new_items_ahead(self) -> list[DraftId]:
        """New items without a slot, in the order in which they are likely to get one."""
        those = [each for each, _ in self._waiting.values() if each.new_item]
        return [each.draft_id for each in sorted(those, key=lambda one: (one.size_bytes, one[3]))]

    @asynccontextmanager
    async def turn(self, draft_id: DraftId, size_bytes: int, new_item: bool) -> AsyncIterator[None]:
        """A slot, once there is one."""
        event = trio.Event()
        waiting = Waiting(draft_id, size_bytes, new_item, trio.current_time())
        self._waiting[draft_id] = waiting, event
        self._give()
        try:
            await event.wait()
            yield
        finally:
            self._waiting.pop(draft_id, None)
            self._running.pop(draft_id, None)
            self._give()

    def close(self) -> None:
        """Nobody gets one any more."""
        self._closed = True

    def _give(self) -> None:
        while not self._closed:
            those = [each for each, _ in self._waiting.values()]
            chosen = choose(those, self._running.values(), trio.current_time(), self._rules)
            if chosen is None:
                return
            _, event = self._waiting.pop(chosen.draft_id)
            self._running[chosen.draft_id] = chosen
            event.set()


class NewItems:
    """The service takes so many new files a minute from all users of a client id together."""

    def __init__(self, a_minute: int) -> None:
        self.a_minute = a_minute
        self._sent: deque[float] = deque()
        self._turn = trio.Lock()

    def delay_s(self, ahead: int = 0) -> float:
        """Seconds until the next may be sent, with ``ahead`` others before it."""
        now = trio.current_time()
        while self._sent and self._sent[0] <= now - MINUTE_S:
            self._sent.popleft()
        if not self.a_minute:
            return 0.0
        rounds, place = divmod(len(self._sent) + ahead, self.a_minute)
        if not rounds:
            return 0.0
        first = self._sent[min(place, len(self._sent) - 1)] if self._sent else now
        return max(0.0, first + MINUTE_S * rounds - now)

    async def pass_one(self) -> None:
        """Wait for the turn of one new item; in the order of asking."""
        async with self._turn:
            # nobody else passes meanwhile, and what was sent only gets older
            await trio.sleep(self.delay_s())
            self._sent.append(trio.current_time())


class Budget:
    """Bytes under way at once; first come, first served. What is larger than all of it goes
    alone."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.used = 0
        self._queue: deque[tuple[int, trio.Event]] = deque()

    @asynccontextmanager
    async def borrow(self, size: int) -> AsyncIterator[None]:
        """So many of them."""
        await self.take(size)
        try:
            yield
        finally:
            self.give(size)

    async def take(self, size: int) -> None:
        """Wait for ``size`` bytes; they are given back with ``give``."""
        if not size or (not self._queue and self._fits(size)):
            self.used += size
            return
        event = trio.Event()
        entry = (size, event)
        self._queue.append(entry)
        try:
            await event.wait()
        except BaseException:
            if event.is_set():
                self.give(size)
            else:
                self._queue.remove(entry)
                self._serve()
            raise

    def give(self, size: int) -> None:
        """Back."""
        self.used -= size
        self._serve()

    def _fits(self, size: int) -> bool:
        return self.used == 0 or self.used + size <= self._limit

    def _serve(self) -> None:
        while self._queue and self._fits(self._queue[0][0]):
            size, event = self._queue.popleft()
            self.used += size
            event.set()


class PartPlaces:
    """Of parts of all uploads; fewer while somebody reads, for readers go first. The next one is
    for the upload that has fewest: one large file alone has all places, and gives them up part by
    part when others come."""

    def __init__(self, rules: Rules, somebody_reads: Callable[[], bool]) -> None:
        self._rules, self._somebody_reads = rules, somebody_reads
        self._waiting: dict[trio.Event, DraftId] = {}
        """In the order of their coming."""
        self._taken: Counter[DraftId] = Counter()

    @property
    def under_way(self) -> int:
        return self._taken.total()

    @asynccontextmanager
    async def place(self, draft_id: DraftId, length: int) -> AsyncIterator[None]:
        """One, once there is one. A small file needs none: it does not wait behind large ones,
        should they hang."""
        if length <= SMALL_BYTES:
            yield
            return
        event = trio.Event()
        self._waiting[event] = draft_id
        try:
            self._serve()
            while not event.is_set():
                with trio.move_on_after(READERS_LOOK_S):
                    await event.wait()
                self._serve()  # readers do not call when they stop
            yield
        finally:
            if self._waiting.pop(event, None) is None:
                self._taken[draft_id] -= 1
                self._taken += Counter()  # drops zeros
            self._serve()

    def _serve(self) -> None:
        while self._waiting and self.under_way < self._places():
            event = min(self._waiting, key=lambda each: self._taken[self._waiting[each]])
            self._taken[self._waiting.pop(event)] += 1
            event.set()

    def _places(self) -> int:
        rules = self._rules
        return rules.parts_while_reading if self._somebody_reads() else rules.parts_of_all


class Rate:
    """Bytes a second, of the last ten seconds."""

    WINDOW_S = 10.0

    def __init__(self) -> None:
        self._moments: deque[tuple[float, int]] = deque()

    def add(self, size: int) -> None:
        """So many bytes left just now."""
        now = trio.current_time()
        if self._moments and now - self._moments[-1][0] < 0.25:
            self._moments[-1] = (self._moments[-1][0], self._moments[-1][1] + size)
        else:
            self._moments.append((now, size))
        self._forget(now)

    def _forget(self, now: float) -> None:
        while self._moments and self._moments[0][0] < now - self.WINDOW_S:
            self._moments.popleft()

    @property
    def bytes_s(self) -> float:
        now = trio.current_time()
        self._forget(now)
        if not self._moments:
            return 0.0
        total = sum(size for _, size in self._moments)
        return float(total / max(1.0, math.ceil(now - self._moments[0][0])))
