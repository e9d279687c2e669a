"""Calls to a disk, in threads; the loop abandons a call when the disk hangs.

A thread stuck in a system call cannot be stopped. While one is stuck, new calls fail at once, so
at most ``places`` threads leak, and only the first callers wait for a hang.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import trio

from dmfs.system.concurrency import in_thread

T = TypeVar("T")

HUNG_AFTER_S = 5.0
"""A call takes milliseconds, on a slow and busy disk a second. The wait for a place does not count:
many readers of a slow disk are no hang."""


class DiskHangsError(OSError):
    """The disk did not answer in time."""

    def __init__(self) -> None:
        super().__init__(errno.ETIMEDOUT, "the disk hangs")


class _Call(Generic[T]):
    """One call: done or abandoned, never both."""

    def __init__(self, work: Callable[[], T], undo: Callable[[T], object] | None) -> None:
        self._work, self._undo = work, undo
        self._lock = threading.Lock()  # only around an assignment: the loop takes it too
        self._done = False
        self.abandoned = False
        self._value: T
        self._error: BaseException | None = None

    def do(self) -> None:
        """Run the work, in the thread."""
        try:
            self._value = self._work()
        except BaseException as error:  # noqa: BLE001 - raised again on the loop
            self._error = error
        with self._lock:
            self._done = not self.abandoned
        if self.abandoned and self._error is None and self._undo is not None:
            self._undo(self._value)

    def take(self) -> T:
        """The result, on the loop. DiskHangsError if the call is not done; it is abandoned then."""
        with self._lock:
            self.abandoned = not self._done
        if self.abandoned:
            raise DiskHangsError
        if self._error is not None:
            raise self._error
        return self._value


class _Unlimited:
    """A limiter without a limit, for threads that already have a place: a second wait would cost a
    step of the loop."""

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        pass

    def release_on_behalf_of(self, borrower: object) -> None:
        pass


class DiskThreads:
    """Runs calls to one disk in at most ``places`` threads."""

    def __init__(self, places: int, patience_s: float = HUNG_AFTER_S) -> None:
        self._places = trio.CapacityLimiter(places)
        self._unlimited = cast(trio.CapacityLimiter, _Unlimited())
        self._patience_s = patience_s
        # each thread removes its own call; each step is atomic under the GIL
        self._calls: set[_Call[Any]] = set()

    @property
    def hangs(self) -> bool:
        """Whether an abandoned call is still stuck in the disk."""
        return any(call.abandoned for call in tuple(self._calls))

    @property
    def under_way(self) -> int:
        """Calls in the disk now, abandoned or not."""
        return len(self._calls)

    async def run(self, work: Callable[[], T], undo: Callable[[T], object] | None = None) -> T:
        """Return or raise what ``work`` does; DiskHangsError after the patience, another OSError
        where there is no thread. ``undo`` gets a
        later result, in its thread.

        Cancellation ends the wait for a place, but not the call: its open file would be lost.
        ``work`` must not touch anything that the program uses again after a hang."""
        call = _Call(work, undo)

        def do() -> None:
            try:
                call.do()
            finally:
                self._calls.discard(call)

        try:
            self._places.acquire_nowait()  # saves a step of the loop for each small read
        except trio.WouldBlock:
            await self._places.acquire()
        try:
            if self.hangs:
                raise DiskHangsError
            self._calls.add(call)
            with trio.CancelScope(shield=True, deadline=trio.current_time() + self._patience_s):
                await in_thread(do, self._unlimited)
        except OSError:  # not begun: of ``work`` ``take`` has the errors
            self._calls.discard(call)
            raise
        finally:
            self._places.release()
        return call.take()
