"""A limit on connections: demand waits for one, speculation takes only what is spare."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Hashable

import trio

DEMAND_RESERVE = 4
"""Connections that fetching ahead never takes, so that a new reader starts at once."""


class ConnectionLimiter:
    """A bound on work in all and per owner. Not a lock: touched without awaits in between."""

    def __init__(self, total: int, per_owner: int) -> None:
        self._total = total
        self._per_owner = per_owner
        self._spare = max(1, total - DEMAND_RESERVE)
        self._used: Counter[Hashable] = Counter()
        self._waiting: deque[trio.Event] = deque()
        self.in_use = 0

    def try_acquire(self, owner: Hashable) -> bool:
        """For speculation: a connection now, or False."""
        if self._waiting or self.in_use >= self._spare or self._used[owner] >= self._per_owner:
            return False
        self._take(owner)
        return True

    async def acquire(self, owner: Hashable) -> None:
        """For demand: first come, first served. Not bound per owner, or readers would starve
        behind their own read-ahead."""
        if self._waiting or self.in_use >= self._total:
            turn = trio.Event()
            self._waiting.append(turn)
            try:
                await turn.wait()
            except trio.Cancelled:
                if turn.is_set():  # the connection had just been handed over
                    self._pass_on()
                else:
                    self._waiting.remove(turn)
                raise
            self._used[owner] += 1
        else:
            self._take(owner)

    def release(self, owner: Hashable) -> None:
        """Give a connection back, to the longest waiting demand if there is one."""
        self._used[owner] -= 1
        if self._used[owner] <= 0:
            del self._used[owner]
        self._pass_on()

    def _take(self, owner: Hashable) -> None:
        self._used[owner] += 1
        self.in_use += 1

    def _pass_on(self) -> None:
        if self._waiting:
            self._waiting.popleft().set()  # in_use stays: the connection changes hands
        else:
            self.in_use -= 1
