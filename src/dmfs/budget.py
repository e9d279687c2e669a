"""How often the service may be asked. Floor 1.

The published rates are per client id and per endpoint, shared by everybody who uses that id, so
one process cannot know what is left; it can only be frugal and obey. For now this keeps the
moments until which a 429 told us to stay away, per endpoint, so that one refusal holds back all
callers instead of each of them running into the wall. The limiter with priorities and shared
state takes this object's place; its callers stay.
"""

from __future__ import annotations

import trio

from dmfs.errors import BusyError

DEFAULT_HOLD_S = 5.0
"""For a 429 without Retry-After."""


class Budget:
    """Gate in front of every call."""

    def __init__(self) -> None:
        self._held_until: dict[str, float] = {}

    async def admit(self, route: str, what: str) -> None:
        """Wait until ``route`` may be asked; BusyError at once if the deadline comes first."""
        while True:
            wait_s = self._held_until.get(route, 0.0) - trio.current_time()
            if wait_s <= 0:
                return
            refuse_if_late(wait_s, what)
            await trio.sleep(wait_s)

    def hold(self, route: str, retry_after_s: float | None) -> None:
        """A 429 came: nobody asks ``route`` before that time."""
        wait_s = DEFAULT_HOLD_S if retry_after_s is None else retry_after_s
        until = trio.current_time() + wait_s
        self._held_until[route] = max(until, self._held_until.get(route, 0.0))


def refuse_if_late(wait_s: float, what: str) -> None:
    """Raise BusyError now rather than sleep into a deadline that is sure to pass."""
    if trio.current_time() + wait_s >= trio.current_effective_deadline():
        raise BusyError(
            f"cannot {what}: the rate limit asks to wait {wait_s:.0f} s",
            hint="the rate limit of this app is used up; it refills within a minute",
        )
