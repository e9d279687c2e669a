"""How this process treats its heap: what 100 000 entries in memory ask of it. Floor 0.

Entries are many, live long and are never in cycles, while the pages that they come from are many
more objects for a tenth of a second. Three things follow, each measured with 1000 folders of 100
entries and one of 50 000.
"""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import trio

GC_THRESHOLDS = (5_000, 4, 2000)
"""Small steps, and all of it next to never. The interpreter's defaults went through all entries
again and again: 190 ms of standstill, 40 % of the time. A generation of 50 000 objects takes 20 to
40 ms; these are 5 000 and 25 000, and all of 100 000 entries 100 ms."""
MMAP_THRESHOLD_BYTES = 128 * 1024
"""glibc's own first value, fixed: it raises it to whatever was freed last, after which the bodies
of pages lie in the heap and leave holes: 10 MiB."""
TRIM_S = 30.0
"""How often freed memory goes back to the system: 11 MiB after a walk, in 5 ms of a thread."""

_M_MMAP_THRESHOLD = -3
_paused = 0
_resume = True
_lock = threading.Lock()


def set_up_heap() -> None:
    """For a process that serves a drive."""
    gc.set_threshold(*GC_THRESHOLDS)
    libc = _libc()
    if libc is not None:
        libc.mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)


async def keep_trimmed() -> None:
    """For ever. Ends at once where the C library is another one."""
    libc = _libc()
    while libc is not None:
        await trio.sleep(TRIM_S)
        await trio.to_thread.run_sync(libc.malloc_trim, 0)


@contextmanager
def uncollected() -> Iterator[None]:
    """No collection in the body: it makes many objects that it lets go by itself. May be entered
    by several threads; for tenths of a second."""
    global _paused, _resume  # noqa: PLW0603 - the collector is one for the process
    with _lock:
        if _paused == 0:
            _resume = gc.isenabled()
            gc.disable()
        _paused += 1
    try:
        yield
    finally:
        with _lock:
            _paused -= 1
            if _paused == 0 and _resume:
                gc.enable()


def _libc() -> ctypes.CDLL | None:
    try:
        libc = ctypes.CDLL(None)
        return libc if hasattr(libc, "malloc_trim") and hasattr(libc, "mallopt") else None
    except OSError:
        return None
