"""Calls to a disk, in threads, given up when the disk hangs. Floor 2.

A thread inside a system call of a hung disk can be neither stopped nor waited for: it is left
behind, and while there is such a one nobody is sent after it. So there are never more of them than
places, and only the first to meet the hang wait for it.
"""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar, cast

import trio

T = TypeVar("T")

HUNG_AFTER_S = 5.0
"""A call of ours takes milliseconds, on a slow and busy disk a second. The wait for a place does
not count: many readers of a slow disk are not a hang."""


class DiskHangsError(OSError):
    """The disk has not answered for too long."""

    def __init__(self) -> None:
        super().__init__(errno.ETIMEDOUT, "the disk hangs")


class _Call(Generic[T]):
    """One piece of work: done, or given up, never both."""

    def __init__(self, work: Callable[[], T], undo: Callable[[T], object] | None) -> None:
        self._work, self._undo = work, undo
        self._lock = threading.Lock()  # held for an assignment only: the loop takes it too
        self._done = False
        self.given_up = False
        self._value: T
        self._error: BaseException | None = None

    def do(self) -> None:
        """In the thread."""
        try:
            self._value = self._work()
        except BaseException as error:  # noqa: BLE001 - raised again on the loop
            self._error = error
        with self._lock:
            self._done = not self.given_up
        if self.given_up and self._error is None and self._undo is not None:
            self._undo(self._value)

    def take(self) -> T:
        """On the loop: what came of it. DiskHangsError if nothing did, then nothing will."""
        with self._lock:
            self.given_up = not self._done
        if self.given_up:
            raise DiskHangsError
        if self._error is not None:
            raise self._error
        return self._value


class _Unlimited:
    """A "CapacityLimiter-like object" for threads that have their place already: a second limiter
    would cost a turn of the loop."""

    async def acquire_on_behalf_of(self, borrower: object) -> None:
        pass

    def release_on_behalf_of(self, borrower: object) -> None:
        pass


class DiskThreads:
    """A few places for calls to one disk."""

    def __init__(self, places: int, patience_s: float = HUNG_AFTER_S) -> None:
        self._places = trio.CapacityLimiter(places)
        self._unlimited = cast(trio.CapacityLimiter, _Unlimited())
        self._patience_s = patience_s
        # threads take themselves off; each step is atomic under the GIL
        self._calls: set[_Call[Any]] = set()

    @property
    def hangs(self) -> bool:
        """Whether some call was given up and is still in the disk."""
        return any(call.given_up for call in tuple(self._calls))

    @property
    def under_way(self) -> int:
        """Calls in the disk, given up or not."""
        return len(self._calls)

    async def run(self, work: Callable[[], T], undo: Callable[[T], object] | None = None) -> T:
        """What ``work`` returns or raises; DiskHangsError once the disk has not answered for the
        patience. A result that comes later goes to ``undo``, in its thread.

        The wait for a place can be called off, the call itself cannot: what it opened would be
        lost. ``work`` must touch nothing that is used again after a hang."""
        call = _Call(work, undo)

        def in_thread() -> None:
            try:
                call.do()
            finally:
                self._calls.discard(call)

        try:
            self._places.acquire_nowait()  # a turn of the loop less, for each small read
        except trio.WouldBlock:
            await self._places.acquire()
        try:
            if self.hangs:
                raise DiskHangsError
            self._calls.add(call)
            with trio.CancelScope(shield=True, deadline=trio.current_time() + self._patience_s):
                await trio.to_thread.run_sync(
                    in_thread, abandon_on_cancel=True, limiter=self._unlimited
                )
        finally:
            self._places.release()
        return call.take()
