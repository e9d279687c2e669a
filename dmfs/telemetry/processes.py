"""Who uses the drive: programs by their process, with what each of them got and cost.

The kernel tells the *thread* of lookup, getattr, open and the like, and nobody for reads: those are
of the process that opened the file.
"""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import NamedTuple

import trio

from dmfs.neighbours.programs import KindOf, nobody_is_gated
from dmfs.neighbours.table import Kind

MEMORY_S = 1.0
"""How long a thread's process and program are believed: a shell's child becomes another program
by exec within milliseconds, and a thread's number is given out again."""
THREADS_MAX = 1024
PROCESSES_MAX = 256
"""More than that, and what those did that were seen longest ago is forgotten."""
LAUNCHERS = frozenset({
    "bash", "bwrap", "cron", "dash", "env", "fish", "ionice", "nice", "sh", "sudo", "systemd",
    "systemd-executor", "timeout", "zsh",
})  # fmt: skip
"""Programs that become others by exec: not believed for a moment, or an indexer that is started by
one of them would have its first second as a shell."""
UNKNOWN = "-"


class Process:
    """A program, and what it did since it was first seen. Ints, changed on the loop alone."""

    __slots__ = ("bytes", "calls", "kind", "name", "open_files", "pid", "requests", "seen_at")

    def __init__(self, pid: int, name: str, kind: Kind | None = None) -> None:
        self.pid = pid
        self.name = name
        self.kind = kind
        """Whether it is a program that opens all it sees (``neighbours``)."""
        self.requests = 0
        """Requests of the kernel, without the reads that were answered at once."""
        self.bytes = 0
        """Given out, as far as its files are closed."""
        self.calls = 0
        """Calls of the service that were made for it, also ahead of it."""
        self.open_files = 0
        """While there are any, it is not forgotten."""
        self.seen_at = 0.0
        """Trio's clock."""

    def __str__(self) -> str:
        return f"{self.pid} ({self.name})" if self.pid else UNKNOWN


class _Seen(NamedTuple):
    process: Process
    until: float


class Processes:
    """Bounded memories of threads, and of the processes that they belong to."""

    def __init__(self, kind_of: KindOf = nobody_is_gated) -> None:
        """``kind_of``: asked once for each process."""
        self._kind_of = kind_of
        self._threads: dict[int, _Seen] = {}
        self._known: OrderedDict[tuple[int, str], Process] = OrderedDict()
        self.nobody = Process(0, UNKNOWN)
        """The kernel itself, or a process of another pid namespace."""

    def of_thread(self, thread: int) -> Process:
        """The process of a thread, as it was a second ago at most."""
        now = trio.current_time()
        seen = self._threads.get(thread)
        if seen is not None and seen.until >= now:
            return seen.process
        self._threads.pop(thread, None)
        if len(self._threads) >= THREADS_MAX:
            del self._threads[next(iter(self._threads))]
        process = self._process(*process_of(thread))
        process.seen_at = now
        if process.name not in LAUNCHERS:
            self._threads[thread] = _Seen(process, now + MEMORY_S)
        return process

    def _process(self, pid: int, name: str) -> Process:
        if not pid:
            return self.nobody
        process = self._known.get((pid, name))
        if process is None:
            if len(self._known) >= PROCESSES_MAX:
                self._forget_one()
            process = self._known[pid, name] = Process(pid, name, self._kind_of(pid, name))
        else:
            self._known.move_to_end((pid, name))
        return process

    def _forget_one(self) -> None:
        """The one seen longest ago, of those that read nothing if there are any: whoever streams
        for an hour is not seen meanwhile."""
        idle = (key for key, process in self._known.items() if not process.open_files)
        del self._known[next(idle, next(iter(self._known)))]

    def known(self) -> list[Process]:
        """All that are remembered, the one seen last at the end."""
        return [*self._known.values()]


def process_of(thread: int) -> tuple[int, str]:
    """Pid and program of a thread; what is not known of it is `-`. 20 µs."""
    if thread <= 0:
        return 0, UNKNOWN
    try:
        status = Path(f"/proc/{thread}/status").read_bytes()
        pid = int(status.partition(b"\nTgid:")[2].split(None, 1)[0])
        name = Path(f"/proc/{pid}/comm").read_bytes().rstrip(b"\n")
    except (OSError, ValueError, IndexError):
        return thread, UNKNOWN
    return pid, name.decode("utf-8", "replace")
