"""How pyfuse3's workers come to the kernel's requests: without blocking, quickly, and patiently.

pyfuse3 has no place to say so: two of its functions are replaced. It looks both up by name with
each call (3.5.0).
"""

from __future__ import annotations

import errno
import math
import os
import select
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyfuse3
import trio

NO_MEMORY_PAUSE_S = 0.2
IN_A_ROW = 16
"""So many requests that are there already are taken before the loop turns; its other work waits for
them. A turn for each, with its registrations at epoll, cost a quarter of the daemon's processor
time in reads of 128 KiB (1.98 s a GiB; 1.49 so)."""
_DEV_FUSE = os.makedev(10, 229)

_module: Any = pyfuse3
_session_loop, _wait_fuse_readable = _module._session_loop, _module._wait_fuse_readable  # noqa: SLF001


def replace_workers(descriptor: int | None = None) -> int:
    """For the session that ``pyfuse3.init`` has just begun; its descriptor, which is looked for
    where it is not known. OSError where descriptors are short."""
    requests, session = select.poll(), -1
    for entry in Path("/proc/self/fd").iterdir():
        number = int(entry.name)
        with suppress(OSError):  # the listing's own
            if number == descriptor or (
                descriptor is None and os.fstat(number).st_rdev == _DEV_FUSE
            ):
                # A program that is killed takes its request back, also between our being told of
                # it and the read. Blocked there, the whole process stood still until anybody's
                # next request; now the read fails with EAGAIN.
                os.set_blocking(number, False)
                requests.register(number, select.POLLIN)
                session = number
    _module._session_loop = _PatientWorkers().run  # noqa: SLF001
    _module._wait_fuse_readable = _QuickLook(requests).wait  # noqa: SLF001
    return session


class _QuickLook:
    """Waits for the kernel's next request only if there is none."""

    def __init__(self, requests: select.poll) -> None:
        self._look = requests.poll
        self._left = IN_A_ROW

    async def wait(self) -> bool:
        """True if there is a request, False at the end of the session."""
        while True:
            if self._left and self._look(0):
                self._left -= 1
                return True
            self._left = IN_A_ROW
            if not await _wait_fuse_readable():
                return False
            if self._look(0):  # or another worker has taken it meanwhile
                return True


class _PatientWorkers:
    """Each worker has a buffer of a mebibyte of its own. One that got no memory for it ended all
    others, and so the drive; now it asks again, while those that have theirs go on. So does one
    whose request was taken back; that loses its buffer, and is rare."""

    def __init__(self) -> None:
        self._try_at = -math.inf
        """When (trio's clock) the next may ask: one at a time, for each starts another one."""

    async def run(self, nursery: trio.Nursery, min_tasks: int, max_tasks: int) -> None:
        """Serve requests until there are too many workers, or the mount ends."""
        while True:
            if trio.current_time() < self._try_at:
                await trio.sleep_until(self._try_at)
                continue  # another one may have asked meanwhile
            try:
                await _session_loop(nursery, min_tasks, max_tasks)
                return
            except OSError as error:
                if error.errno == errno.EAGAIN:
                    continue
                if error.errno != errno.ENOMEM:
                    raise
            self._try_at = trio.current_time() + NO_MEMORY_PAUSE_S
