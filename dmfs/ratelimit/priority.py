"""The priority of an API call, carried along by the task that makes it.

One call may serve several tasks, and a later one may be more urgent than the first: the priority
is therefore an object, which each task that joins may raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import trio

from dmfs.ratelimit.limits import Priority


class RequestPriority:
    """How urgent a call is, and whether its result still has a use."""

    def __init__(self, level: Priority, wanted: Callable[[], bool] | None = None) -> None:
        self.level = level
        self._wanted = wanted
        self._raised: trio.Event | None = None

    @property
    def wanted(self) -> bool:
        """False for speculation whose reason has gone. A call that a program waits for is always
        wanted."""
        return self.level < Priority.AHEAD or self._wanted is None or self._wanted()

    @property
    def may_end(self) -> bool:
        """Whether it is speculation that ends by itself."""
        return self.level >= Priority.AHEAD and self._wanted is not None

    def anew(self) -> RequestPriority:
        """The same for a call of its own, which others may join and raise."""
        return RequestPriority(self.level, self._wanted)

    def raise_to(self, level: Priority) -> None:
        """A more urgent task joined. A lower level changes nothing."""
        if level < self.level:
            self.level = level
            if self._raised is not None:
                self._raised.set()
                self._raised = None

    async def sleep(self, seconds: float) -> None:
        """As ``trio.sleep``, but ends early when the priority rises."""
        if self._raised is None:
            self._raised = trio.Event()
        raised = self._raised
        with trio.move_on_after(seconds):
            await raised.wait()


_current: ContextVar[RequestPriority | None] = ContextVar("priority", default=None)
_DEFAULT = RequestPriority(Priority.LOOKUP)


def current_priority() -> RequestPriority:
    """The current task's priority; a lookup's if unset."""
    return _current.get() or _DEFAULT


def explicit_priority() -> RequestPriority | None:
    """The current task's priority, or None if unset."""
    return _current.get()


@contextmanager
def at_priority(priority: RequestPriority) -> Iterator[RequestPriority]:
    """All tasks and calls that start in the body have this priority."""
    token = _current.set(priority)
    try:
        yield priority
    finally:
        _current.reset(token)
