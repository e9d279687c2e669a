"""The drives of this process for readers without a mount: one for each set of settings, opened at
the first use and kept until the process ends.

Several filesystem objects share a drive, and so its listings, its signed URLs and its blocks. After
a fork the child has none: connections and locks are the parent's, and are neither used nor closed.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Awaitable, Callable
from multiprocessing import parent_process
from multiprocessing.util import Finalize
from typing import TypeVar

import trio

from dmfs.assembly import open_drive
from dmfs.config import Settings
from dmfs.drive import Drive
from dmfs.errors import DriveError
from dmfs.spec.changing.settling import let_go, settle
from dmfs.spec.oserrors import oserrors
from dmfs.spec.process.loop import Loop
from dmfs.system.private_files import own_state_directory
from dmfs.system.resources import raise_descriptor_limit
from dmfs.write.opening import Writes

log = logging.getLogger(__name__)
T = TypeVar("T")
SPARE_DESCRIPTORS = 128
"""Beside a connection each: connections of the API, files of the cache, pipes."""
END_S = 5.0
"""At the end of a process its drives get so long to give to the disk what they fetched."""

GO_UP_S = 60.0
"""And so long to the service to take what was written; the rest goes up with the next process."""
WRITES = Writes("fsspec", several=True)


async def _go_up(drive: Drive) -> None:
    """What was written, before its process ends."""
    try:
        await settle(drive, GO_UP_S)
    except DriveError as error:
        log.warning(
            "%s: it goes up with the next process that writes, or by dmfs uploads --wait",
            error.message,
        )


class _OpenDrive:
    """A drive in the loop, from its first use on."""

    def __init__(self, settings: Settings, *, writes: bool) -> None:
        self._settings, self.writes = settings, writes
        self._opening = trio.Lock()
        self._drive: Drive | None = None
        self._stop = trio.Event()
        self._ended = trio.Event()

    async def get(self, nursery: trio.Nursery) -> Drive:
        """DriveError if it cannot be opened; the next use tries again."""
        async with self._opening:
            if self._drive is None:
                result = await nursery.start(self._live)
                if isinstance(result, DriveError):
                    raise result
                self._drive = result
            return self._drive

    async def _live(self, task_status: trio.TaskStatus[Drive | DriveError]) -> None:
        """Never raises: the error of one drive must not end the others' loop."""
        started = False
        try:
            async with open_drive(self._settings, writes=WRITES if self.writes else None) as drive:
                if self.writes:
                    await let_go(drive)
                task_status.started(drive)
                started = True
                await self._stop.wait()
        except DriveError as error:
            if not started:
                task_status.started(error)
            else:
                log.warning("the drive ended: %s", error.message)
        except Exception as error:
            log.exception("bug: the drive ended")
            if not started:
                task_status.started(DriveError(f"cannot open the drive: {type(error).__name__}"))
        finally:
            self._drive = None
            self._ended.set()

    async def end(self) -> None:
        if self._drive is not None:
            if self.writes:
                await _go_up(self._drive)
            self._stop.set()
            await self._ended.wait()


class _Process:
    """What belongs to one process, and to none of its children."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: Loop | None = None
        self._ends_with_a_pool = False
        self._drives: dict[tuple[Settings, bool], _OpenDrive] = {}

    def loop(self) -> Loop:
        with self._lock:
            if self._loop is None:
                raise_descriptor_limit(SPARE_DESCRIPTORS)
                self._loop = Loop()
            return self._loop

    async def drive(self, settings: Settings, *, writes: bool) -> Drive:
        """On the loop."""
        found = self._drives.get((settings, writes))
        if found is None:
            own_state_directory(settings.state_dir)
            if writes and parent_process() is not None and not self._ends_with_a_pool:
                # a child of multiprocessing ends by os._exit, without atexit
                self._ends_with_a_pool = True
                Finalize(None, _at_exit, exitpriority=10)
            found = self._drives[settings, writes] = _OpenDrive(settings, writes=writes)
        return await found.get(self.loop().nursery)

    async def end_drive(self, settings: Settings, *, writes: bool) -> None:
        """On the loop."""
        found = self._drives.pop((settings, writes), None)
        if found is not None:
            await found.end()

    def end(self) -> None:
        """Of all."""
        if self._loop is None:
            return
        loop, self._loop = self._loop, None

        async def end_all() -> None:
            writes = any(each.writes for each in self._drives.values())
            with trio.move_on_after(END_S + (GO_UP_S if writes else 0.0)):
                async with trio.open_nursery() as nursery:
                    for drive in self._drives.values():
                        nursery.start_soon(drive.end)

        loop.call(end_all)
        loop.end(END_S)


_process = _Process()
_of_parents: list[_Process] = []
"""Kept and never used: to let go of what is in there would close it under the parent."""


def run_in_drive(
    settings: Settings, work: Callable[[Drive], Awaitable[T]], path: str = "", *,
    writes: bool = False,
) -> T:  # fmt: skip
    """Run ``work`` with the drive of these settings, and wait for it. DriveErrors come out as
    OSErrors, with ``path`` as the file that they are about."""

    async def run() -> T:
        return await work(await process.drive(settings, writes=writes))

    process = _process
    with oserrors(path):
        return process.loop().call(run)


def end_drive(settings: Settings, *, writes: bool = False) -> None:
    """End the drive of these settings, if there is one. The next use opens it again."""
    process = _process
    process.loop().call(lambda: process.end_drive(settings, writes=writes))


def _in_child() -> None:
    global _process  # noqa: PLW0603 - one a process: a fork makes another
    _of_parents.append(_process)
    _process = _Process()


os.register_at_fork(after_in_child=_in_child)


def _at_exit() -> None:
    _process.end()


# Before the interpreter's own threads end, as concurrent.futures does: from Python 3.12 on no
# thread can be started in atexit, and what is to go up needs some.
getattr(threading, "_register_atexit", atexit.register)(_at_exit)
