"""Helpers for tasks: deadlines, single flight, and errors that leave a nursery bare."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

import trio

from dmfs.errors import DeadlineError, DriveError
from dmfs.system.resources import NO_THREAD

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")
V = TypeVar("V")


@contextmanager
def deadline(seconds: float, action: str) -> Iterator[None]:
    """Limit the body to ``seconds``; DeadlineError after that. ``action`` names it in the user's
    words. Outer deadlines and cancellation pass through."""
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise DeadlineError(f"cannot {action}: no answer within {seconds:g} s")


async def in_thread(work: Callable[[], T], limiter: trio.CapacityLimiter | None = None) -> T:
    """Return or raise what ``work`` does in a thread, which is left behind when the caller is
    cancelled. OSError where this machine has no thread for it: whoever bears the failures of a disk
    bears that, where a RuntimeError would end the drive."""
    try:
        return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=limiter)
    except RuntimeError as error:
        if str(error) != NO_THREAD:
            raise
        raise OSError(errno.EAGAIN, NO_THREAD) from error


async def computed(work: Callable[[], T], limiter: trio.CapacityLimiter | None = None) -> T:
    """Return or raise what ``work`` does in a thread, or here where this machine has none: work of
    the processor alone is a moment of the loop, and no reason to fail."""
    try:
        return await trio.to_thread.run_sync(work, limiter=limiter)
    except RuntimeError as error:
        if str(error) != NO_THREAD:
            raise
        return work()


@contextmanager
def bare_errors() -> Iterator[None]:
    """Raise the error inside a nursery's group instead of the group.

    A DriveError goes before others: it is the one that a person can act on. A group of several
    other errors passes unchanged.
    """
    try:
        yield
    except BaseExceptionGroup as group:
        leaves = list(_leaves(group))
        known = [error for error in leaves if isinstance(error, DriveError)]
        if known or len(leaves) == 1:
            raise (known or leaves)[0] from None
        raise


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


async def gather(work: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Run all at once; the results in the order of ``work``. The first error cancels the others
    and is raised bare."""
    results: dict[int, T] = {}
    failures: list[Exception] = []

    async def run(index: int, each: Callable[[], Awaitable[T]], scope: trio.CancelScope) -> None:
        try:
            results[index] = await each()
        except Exception as error:  # noqa: BLE001 - raised below
            failures.append(error)
            scope.cancel()

    async with trio.open_nursery() as nursery:
        for index, each in enumerate(work):
            nursery.start_soon(run, index, each, nursery.cancel_scope)
    if failures:
        raise failures[0]
    return [results[index] for index in range(len(work))]


class Flight(Generic[V]):
    """One piece of work and, later, its result."""

    def __init__(self) -> None:
        self._landed = trio.Event()
        self._value: V | None = None
        self._error: Exception | None = None

    async def wait(self) -> V:
        """The value, or the failure (each waiter gets an exception object of its own)."""
        await self._landed.wait()
        if self._error is not None:
            raise self._error.copy() if isinstance(self._error, DriveError) else self._error
        return self._value  # type: ignore[return-value]

    async def run(self, work: Callable[[], Awaitable[V]]) -> None:
        """Do the work, then wake all waiters, also after a failure."""
        try:
            self._value = await work()
        except Exception as error:  # noqa: BLE001 - raised again in every waiter
            self._error = error
        except BaseException:
            self._error = DriveError("the drive is shutting down")
            raise
        finally:
            self._landed.set()


class SingleFlight(Generic[K, V]):
    """At most one flight per key; a flight ends with its work, whether it fails or not."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        # Each change happens between two awaits, so that trio makes it atomic.
        self._flights: dict[K, Flight[V]] = {}

    def join(self, key: K, work: Callable[[], Awaitable[V]]) -> Flight[V]:
        """The flight of ``key``, started now if there is none."""
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = Flight()
            self._nursery.start_soon(self._fly, key, flight, work)
        return flight

    async def _fly(self, key: K, flight: Flight[V], work: Callable[[], Awaitable[V]]) -> None:
        try:
            await flight.run(work)
        finally:
            self._flights.pop(key, None)
