"""What a job tells: events one at a time, progress not too often, failures counted.

Many tasks of a job tell at once, and a connection takes one line at a time. While its reader is
slow they all wait. A reader that hears nothing for a minute takes the drive for dead: so a job that
has no news (it may wait for the rate limit) says that it is ``idle``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from dmfs.drive import Drive
from dmfs.errors import (
    BusyError,
    DeadlineError,
    DriveError,
    OfflineError,
    SignedOutError,
    SpeculationDropped,
    StalledError,
    UnreachableError,
)
from dmfs.jobs.job import Event, Job, Parameters, Tell
from dmfs.spans import GIB, KIB, MIB
from dmfs.system.concurrency import bare_errors

T = TypeVar("T")

IDLE_S = 10.0
PROGRESS_S = 0.2
"""Between two events of progress."""
BUSY_TRIES = 60
"""A job has no deadline of its own: where the rate limit asks to wait, it waits, a minute at a time
at most. Whoever does not want that ends it."""
BUSY_MAX_S = 60.0
BUSY_S = 5.0
"""Where nobody says how long."""
STUMBLE_S = 1.0
EVERYBODYS = OfflineError, SignedOutError
"""Errors that the rest of a job would meet too: they end it."""


def size_words(size_bytes: int) -> str:
    """``1.2 GiB``"""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.1f} {name}"
    return f"{size_bytes} B"


def lively(job: Job) -> Job:
    """The job for a door: it tells one event at a time, and an ``idle`` one after each
    ``IDLE_S`` without any."""

    async def run(drive: Drive, parameters: Parameters, tell: Tell) -> None:
        line = trio.Lock()
        heard_at = trio.current_time()

        async def tell_alone(event: Event) -> None:
            nonlocal heard_at
            async with line:
                await tell(event)
                heard_at = trio.current_time()

        async def keep_alive() -> None:
            while True:
                await trio.sleep_until(heard_at + IDLE_S)
                if trio.current_time() >= heard_at + IDLE_S:
                    await tell_alone({"event": "idle"})

        with bare_errors():
            async with trio.open_nursery() as nursery:
                nursery.start_soon(keep_alive)
                await job(drive, parameters, tell_alone)
                nursery.cancel_scope.cancel()

    return run


class Reports:
    """Around the ``tell`` of one job."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._progress_at = float("-inf")
        self.failures = 0
        self.first: DriveError | None = None
        """The first failure."""

    async def tell(self, event: str, **fields: object) -> None:
        await self._tell({"event": event, **fields})

    async def progress(self, *, of: str = "progress", **fields: object) -> None:
        """Dropped if there was one a moment ago. ``of``: the event."""
        now = trio.current_time()
        if now - self._progress_at >= PROGRESS_S:
            self._progress_at = now
            await self.tell(of, **fields)

    async def failed(self, path: str, error: DriveError) -> None:
        """One of many failed; the rest goes on."""
        self.failures += 1
        self.first = self.first or error
        await self.tell("failed", path=path, message=error.message, hint=error.hint)

    async def patiently(self, work: Callable[[], Awaitable[T]], *, tries: int = 1) -> T:
        """What ``work`` does, begun again where the rate limit only asks to wait, and ``tries``
        times in all where the service stumbles (``http`` tries again by itself unless it is
        speculation)."""
        stumbles = 0
        for _ in range(BUSY_TRIES):
            try:
                return await work()
            except EVERYBODYS:
                raise
            except SpeculationDropped:
                pass  # a deadline passed in the queue, behind people
            except BusyError as error:
                wait_s = min(error.retry_after_s or BUSY_S, BUSY_MAX_S)
                await self.tell("waiting", seconds=round(wait_s, 1), message=error.message)
                await trio.sleep(wait_s)
            except (UnreachableError, DeadlineError) as error:
                stumbles += 1
                if stumbles >= tries or isinstance(error, StalledError):
                    raise
                await trio.sleep(STUMBLE_S * stumbles)
        raise BusyError("the rate limit was used up by others for too long", hint="try again later")
