"""Single flight: many ask, one works. Floor 1.

The work runs in a nursery of its owner, not in the task of whoever asked first: when a reader's
deadline cancels its wait, the answer still lands for the others and for the next.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

import trio

from dmfs.errors import DriveError

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Flight(Generic[V]):
    """One piece of work under way and, later, its outcome."""

    def __init__(self) -> None:
        self._landed = trio.Event()
        self._value: V | None = None
        self._error: Exception | None = None

    async def wait(self) -> V:
        """The value, or the failure (each waiter gets an exception object of its own)."""
        await self._landed.wait()
        if self._error is not None:
            raise self._error.again() if isinstance(self._error, DriveError) else self._error
        return self._value  # type: ignore[return-value]

    async def run(self, work: Callable[[], Awaitable[V]]) -> None:
        """Do the work and wake all who wait, whatever comes of it."""
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
    """At most one flight per key; a landed flight is forgotten, failed or not."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        # Touched without an await in between, so trio makes it atomic.
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
