"""Who may use a connection now: demand waits, speculation takes only what is spare. Floor 1."""

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

    def try_take(self, owner: Hashable) -> bool:
        """For speculation: now or never."""
        if self._waiting or self.in_use >= self._spare or self._used[owner] >= self._per_owner:
            return False
        self._hold(owner)
        return True

    async def take(self, owner: Hashable) -> None:
        """For demand: first come, first served. Not bound per owner, or readers would starve
        behind their own read-ahead."""
        if self._waiting or self.in_use >= self._total:
            turn = trio.Event()
            self._waiting.append(turn)
            try:
                await turn.wait()
            except trio.Cancelled:
                if turn.is_set():  # the slot had just been handed over: pass it on
                    self._pass_on()
                else:
                    self._waiting.remove(turn)
                raise
            self._used[owner] += 1
        else:
            self._hold(owner)

    def give(self, owner: Hashable) -> None:
        """Return a slot, to the longest waiting demand if there is one."""
        self._used[owner] -= 1
        if self._used[owner] <= 0:
            del self._used[owner]
        self._pass_on()

    def _hold(self, owner: Hashable) -> None:
        self._used[owner] += 1
        self.in_use += 1

    def _pass_on(self) -> None:
        if self._waiting:
            self._waiting.popleft().set()  # in_use stays: the slot changes hands
        else:
            self.in_use -= 1
