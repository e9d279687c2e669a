"""For whom a call is made: carried along by the task that makes it. Floor 1.

One call may serve several askers, and who joins later may be in more of a hurry than who began:
the urgency of a call is therefore an object, raised by whoever joins.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import trio

from dmfs.ratelimit.limits import Priority


class RequestPriority:
    """How urgent a call is, and whether anybody still wants its answer."""

    def __init__(self, level: Priority, wanted: Callable[[], bool] | None = None) -> None:
        self.level = level
        self._wanted = wanted
        self._raised: trio.Event | None = None

    @property
    def wanted(self) -> bool:
        """False: speculation whose reason has gone. What somebody waits for is always wanted."""
        return self.level < Priority.AHEAD or self._wanted is None or self._wanted()

    def raise_to(self, level: Priority) -> None:
        """Somebody joined who is in more of a hurry."""
        if level < self.level:
            self.level = level
            if self._raised is not None:
                self._raised.set()
                self._raised = None

    async def sleep(self, seconds: float) -> None:
        """As ``trio.sleep``, but cut short when the urgency rises."""
        if self._raised is None:
            self._raised = trio.Event()
        raised = self._raised
        with trio.move_on_after(seconds):
            await raised.wait()


_current: ContextVar[RequestPriority | None] = ContextVar("urgency", default=None)
_NOBODY = RequestPriority(Priority.LOOKUP)


def current_priority() -> RequestPriority:
    """That of this task; a lookup's where nothing else was said."""
    return _current.get() or _NOBODY


def explicit_priority() -> RequestPriority | None:
    """That of this task, None where nothing was said."""
    return _current.get()


@contextmanager
def at_priority(of: RequestPriority) -> Iterator[RequestPriority]:
    """All that starts in the body carries this urgency."""
    token = _current.set(of)
    try:
        yield of
    finally:
        _current.reset(token)
