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
from typing import NamedTuple, TypeVar

import trio

from dmfs.assembly import open_drive
from dmfs.config import Settings
from dmfs.drive import Drive
from dmfs.errors import DriveError
from dmfs.spec.loop import Loop
from dmfs.spec.oserrors import oserrors
from dmfs.system.private_files import own_state_directory
from dmfs.system.resources import raise_descriptor_limit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dmfs.write.opening import Writes

log = logging.getLogger(__name__)
T = TypeVar("T")
SPARE_DESCRIPTORS = 128
"""Beside a connection each: connections of the API, files of the cache, pipes."""
END_S = 5.0
"""At the end of a process its drives get so long to give to the disk what they fetched."""
LAST_UPLOADS_S = 60.0
"""And so long for the next step of an upload: a process ends when nothing moves any more."""
LABEL = "a Python program (fsspec)"
"""Has the spool, for whoever is refused it."""


class Wanted(NamedTuple):
    """Which drive."""

    settings: Settings
    writes: bool = False


class _OpenDrive:
    """A drive in the loop, from its first use on."""

    def __init__(self, wanted: Wanted) -> None:
        self._settings, self._writes = wanted
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
            async with open_drive(self._settings, writes=self._how()) as drive:
                task_status.started(drive)
                started = True
                await self._stop.wait()
                await self._last_uploads(drive)
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

    def _how(self) -> Writes | None:
        if not self._writes:
            return None
        from dmfs.write.opening import Writes  # noqa: PLC0415 - for those that write alone

        return Writes(LABEL)

    async def _last_uploads(self, drive: Drive) -> None:
        """What was saved goes up first, for as long as some of it does."""
        if drive.writing is None:
            return
        from dmfs.spec.changing.settling import settle  # noqa: PLC0415 - the same

        left = await settle(drive, patience_s=LAST_UPLOADS_S)
        if left:
            log.warning("%s: it goes on with the next drive of this sign-in that writes", left)

    async def end(self) -> None:
        """Its work is cancelled by then; what was saved goes up before."""
        if self._drive is not None:
            self._stop.set()
            await self._ended.wait()


class _Process:
    """What belongs to one process, and to none of its children."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: Loop | None = None
        self._drives: dict[Wanted, _OpenDrive] = {}

    def loop(self) -> Loop:
        with self._lock:
            if self._loop is None:
                raise_descriptor_limit(SPARE_DESCRIPTORS)
                self._loop = Loop()
            return self._loop

    async def drive(self, wanted: Wanted) -> Drive:
        """On the loop."""
        found = self._drives.get(wanted)
        if found is None:
            own_state_directory(wanted.settings.state_dir)
            found = self._drives[wanted] = _OpenDrive(wanted)
        return await found.get(self.loop().nursery)

    async def end_drive(self, wanted: Wanted) -> None:
        """On the loop."""
        found = self._drives.pop(wanted, None)
        if found is not None:
            await found.end()

    def end(self) -> None:
        """Of all."""
        if self._loop is None:
            return
        loop, self._loop = self._loop, None

        async def end_all() -> None:
            reads = [each for wanted, each in self._drives.items() if not wanted.writes]
            writes = [each for wanted, each in self._drives.items() if wanted.writes]
            async with trio.open_nursery() as nursery:
                for drive in writes:
                    nursery.start_soon(drive.end)
                with trio.move_on_after(END_S):
                    async with trio.open_nursery() as others:
                        for drive in reads:
                            others.start_soon(drive.end)

        loop.call(end_all)
        loop.end(END_S)


_process = _Process()
_of_parents: list[_Process] = []
"""Kept and never used: to let go of what is in there would close it under the parent."""


def run_in_drive(wanted: Wanted, work: Callable[[Drive], Awaitable[T]], path: str = "") -> T:
    """Run ``work`` with that drive, and wait for it. DriveErrors come out as
    OSErrors, with ``path`` as the file that they are about."""

    async def run() -> T:
        return await work(await process.drive(wanted))

    process = _process
    with oserrors(path):
        return process.loop().call(run)


def end_drive(wanted: Wanted) -> None:
    """End that drive, if it is open. The next use opens it again."""
    process = _process
    process.loop().call(lambda: process.end_drive(wanted))


def _in_child() -> None:
    global _process  # noqa: PLW0603 - one a process: a fork makes another
    _of_parents.append(_process)
    _process = _Process()


os.register_at_fork(after_in_child=_in_child)


def _at_exit() -> None:
    _process.end()


atexit.register(_at_exit)
