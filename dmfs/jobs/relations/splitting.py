"""One question about many, of which the service refuses one: then it is asked about parts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from dmfs.errors import DriveError

REFUSALS = frozenset({400, 403, 404, 410})
"""Statuses that may concern one of those that were asked about."""
SPLITS_MAX = 12
"""Questions about parts, in one run: enough to find two of 50. Where so many are refused, the rest
is refused with them, and the calls are left to others."""

K = TypeVar("K")
R = TypeVar("R")
Ask = Callable[[Sequence[K]], Awaitable[list[R]]]
Refused = Callable[[K, DriveError], Awaitable[None]]


class Splitting:
    """Counts the splits of one run."""

    def __init__(self) -> None:
        self._left = SPLITS_MAX

    async def ask(
        self, keys: Sequence[K], ask: Ask[K, R], refused: Refused[K], *, is_part: bool = False
    ) -> list[R]:
        """What ``ask`` answers about all ``keys``; ``refused`` gets each that it refuses. The error
        itself where there is but one."""
        try:
            return await ask(keys)
        except DriveError as error:
            if error.status not in REFUSALS or (len(keys) == 1 and not is_part):
                raise
            if len(keys) == 1 or self._left <= 0:
                for key in keys:
                    await refused(key, error)
                return []
            self._left -= 1
        middle = len(keys) // 2
        found: list[R] = []
        for half in (keys[:middle], keys[middle:]):
            found += await self.ask(half, ask, refused, is_part=True)
        return found
