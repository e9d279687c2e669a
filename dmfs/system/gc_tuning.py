"""Settings of the garbage collector and the allocator for 100 000 entries in memory.

Entries are many, live long and are never in cycles; the JSON pages that they come from are many
more objects for a tenth of a second. Three settings follow, measured with 1000 folders of 100
entries and one of 50 000.
"""

from __future__ import annotations

import ctypes
import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

import trio

from dmfs.system.concurrency import in_thread

GC_THRESHOLDS = (5_000, 4, 2000)
"""Small young generations, and nearly no full collections. The interpreter's defaults collected all
entries again and again: pauses of 190 ms, 40 % of the time (docs/performance.md)."""
MMAP_THRESHOLD_BYTES = 128 * 1024
"""glibc's default, fixed: glibc would raise it after a large free. Then the bodies of pages lie in
the heap, and their holes cost 10 MiB."""
WRITTEN_THRESHOLD_BYTES = 2 * 1024 * 1024
"""The kernel writes in pieces of up to 1 MiB. A mapping of its own for each cost 257 page faults;
nor is the end of the heap given back after each."""
TRIM_S = 30.0
"""Interval of returns of freed memory to the system: 11 MiB after a walk, in 5 ms of a thread."""

_M_MMAP_THRESHOLD, _M_TRIM_THRESHOLD = -3, -1
_paused = 0
_resume = True
_lock = threading.Lock()


def set_up_heap(*, writes: bool = False) -> None:
    """Apply the settings; for a process that serves a drive. ``writes``: it takes bytes from the
    kernel, too."""
    gc.set_threshold(*GC_THRESHOLDS)
    libc = _libc()
    if libc is not None:
        libc.mallopt(_M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES)
        if writes:
            libc.mallopt(_M_MMAP_THRESHOLD, WRITTEN_THRESHOLD_BYTES)
            libc.mallopt(_M_TRIM_THRESHOLD, 8 * WRITTEN_THRESHOLD_BYTES)


async def keep_trimmed() -> None:
    """Return freed memory to the system, for ever. Returns at once with another C library."""
    libc = _libc()
    while libc is not None:
        await trio.sleep(TRIM_S)
        with suppress(OSError):  # no thread now
            await in_thread(partial(libc.malloc_trim, 0))


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause the garbage collector during the body, which makes many objects and frees them without
    it. Several threads may enter; for tenths of a second."""
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
