"""A report of the running drive on SIGUSR2: gauges, tasks, threads.

faulthandler writes the stacks of all threads, in C, so they come even while the loop hangs; the
loop writes the rest. The report has names of functions and line numbers: no values, no secrets.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import trio

from dmfs.telemetry.logs import stream_descriptor

log = logging.getLogger(__name__)

LINES_MAX = 2000
"""Enough for 512 stalled requests with their stacks."""


async def report_on_signal(gauges: Callable[[], Mapping[str, int]]) -> None:
    """Write a report to the log on each SIGUSR2, until cancelled."""
    # a copy: the log may have another descriptor when the signal comes
    descriptor = os.dup(stream_descriptor())
    faulthandler.enable(descriptor)  # for a crash in C
    try:
        with trio.open_signal_receiver(signal.SIGUSR2) as signals:
            faulthandler.register(signal.SIGUSR2, file=descriptor, all_threads=True, chain=True)
            async for _ in signals:
                for line in report(gauges()):
                    log.warning("%s", line)
    finally:
        faulthandler.unregister(signal.SIGUSR2)
        faulthandler.disable()
        os.close(descriptor)


def report(gauges: Mapping[str, int]) -> list[str]:
    """One line ``gauge name=value`` for each gauge, sorted by name; then one line for each task,
    with its stack, innermost call last."""
    root = trio.lowlevel.current_root_task()
    found = process_gauges() | dict(gauges)
    lines = [f"gauge {name}={found[name]}" for name in sorted(found)]
    if root is not None:
        lines += _tasks(root, 0)
    return lines[:LINES_MAX]


def process_gauges() -> dict[str, int]:
    """Gauges of this process: descriptors, threads, tasks, resident memory."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
    return {
        "descriptors": len(os.listdir("/proc/self/fd")),  # noqa: PTH208 - it lists itself too
        "threads": threading.active_count(),
        "tasks": trio.lowlevel.current_statistics().tasks_living,
        "rss_bytes": pages * os.sysconf("SC_PAGE_SIZE"),
    }


def _tasks(task: trio.lowlevel.Task, depth: int) -> Iterator[str]:
    calls = [
        f"{frame.f_code.co_name}:{line}"
        for frame, line in task.iter_await_frames()
        if "/trio/" not in frame.f_code.co_filename
    ]
    yield f"task {'  ' * min(depth, 20)}{task.name}: {' > '.join(calls[-40:]) or '-'}"
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from _tasks(child, depth + 1)
