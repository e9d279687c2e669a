"""Who makes a request: pid and program, for the access log. Only used while that log is on."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import trio

MEMORY_S = 1.0
"""How long a thread's process and program are believed: a shell's child becomes another program
by exec within milliseconds, and a thread's number is given out again."""
THREADS_MAX = 1024
HANDLES_MAX = 4096
"""More open files than that, and reads of the oldest say `-`."""
UNKNOWN = "-"


class _Seen(NamedTuple):
    caller: str
    until: float


class Callers:
    """Bounded memories of threads and of who opened each handle.

    The kernel tells the *thread* of lookup, getattr, open and the like, and nobody for reads: those
    are of the process that opened the file.
    """

    def __init__(self) -> None:
        self._threads: dict[int, _Seen] = {}
        self._handles: dict[int, str] = {}

    def of(self, arguments: tuple[Any, ...]) -> str:
        """``1234 (rsync)`` for a handler's arguments: of its context, else of its handle."""
        thread = getattr(arguments[-1], "pid", None) if arguments else None
        if thread is None:
            return self._handles.get(arguments[0], UNKNOWN) if arguments else UNKNOWN
        seen = self._threads.get(thread)
        if seen is None or seen.until < trio.current_time():
            self._threads.pop(thread, None)
            seen = _Seen(process_of(thread), trio.current_time() + MEMORY_S)
            _bounded(self._threads, THREADS_MAX)[thread] = seen
        return seen.caller

    def opened(self, result: Any, caller: str) -> None:
        """Remember who got this handle: the result of open or opendir."""
        handle = getattr(result, "fh", result)
        self._handles.pop(handle, None)
        _bounded(self._handles, HANDLES_MAX)[handle] = caller


def _bounded(memory: dict[int, Any], most: int) -> dict[int, Any]:
    """Room for one more: the oldest goes."""
    if len(memory) >= most:
        del memory[next(iter(memory))]
    return memory


def process_of(thread: int) -> str:
    """``PID (PROGRAM)`` of a thread; what is not known of it is `-`. 20 µs."""
    if thread <= 0:
        return UNKNOWN  # the kernel itself, or a process of another pid namespace
    try:
        status = Path(f"/proc/{thread}/status").read_bytes()
        pid = int(status.partition(b"\nTgid:")[2].split(None, 1)[0])
        name = Path(f"/proc/{pid}/comm").read_bytes().rstrip(b"\n")
    except (OSError, ValueError, IndexError):
        return f"{thread} ({UNKNOWN})"
    return f"{pid} ({name.decode('utf-8', 'replace')})"
