"""Readers of their own making, in a process of their own: random, many at once, stats.

``python -m tests.bench.readers KIND`` takes its arguments as JSON from stdin and prints one line of
JSON. They run beside the benchmark and not in it, so that a mount that hangs can be given up.
"""

from __future__ import annotations

import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from dmfs.emulator.world.content import Computed


def randomly(
    path: str, size: int, block: int, threads: int, seconds: float, seed: str
) -> dict[str, Any]:
    """Random blocks for a while, each reader with a handle of its own; the bytes are checked."""
    content = Computed(seed, size)
    done = [0] * threads
    wrong: list[int] = []
    stop_at = time.perf_counter() + seconds

    def reader(number: int) -> None:
        chance = random.Random(f"{os.getpid()} {number}")
        fd = os.open(path, os.O_RDONLY)
        try:
            while time.perf_counter() < stop_at:
                offset = chance.randrange(0, (size - block) // block) * block
                data = os.pread(fd, block, offset)
                if data != b"".join(content.pieces(offset, offset + block)):
                    wrong.append(offset)
                done[number] += 1
        finally:
            os.close(fd)

    began = time.perf_counter()
    _together(reader, threads)
    took_s = time.perf_counter() - began
    return {"reads": sum(done), "seconds": took_s, "wrong": wrong[:10]}


def streaming(paths: list[str], seconds: float) -> dict[str, Any]:
    """One handle a file, all read front to back at once, until the time is over."""
    done = [0] * len(paths)
    stop_at = time.perf_counter() + seconds

    def reader(number: int) -> None:
        buffer = bytearray(1 << 20)
        with open(paths[number], "rb", buffering=0) as source:  # noqa: PTH123 - a plain handle
            while time.perf_counter() < stop_at:
                count = source.readinto(buffer)
                if not count:
                    return
                done[number] += count

    began = time.perf_counter()
    _together(reader, len(paths))
    return {"bytes": sum(done), "seconds": time.perf_counter() - began, "least": min(done)}


def asking(present: list[str], absent: str, seconds: float, pause_s: float) -> dict[str, Any]:
    """stat of names that are there and of names that are not, each new to the kernel."""
    latencies: dict[str, list[float]] = {"present": [], "absent": []}
    stop_at = time.perf_counter() + seconds
    number = 0
    while time.perf_counter() < stop_at:
        for kind, path in (
            ("present", present[number % len(present)]),
            ("absent", f"{absent}-{number}"),
        ):
            began = time.perf_counter()
            try:
                os.stat(path)  # noqa: PTH116 - the bare call is what is timed
            except FileNotFoundError:
                pass
            latencies[kind].append(time.perf_counter() - began)
            time.sleep(pause_s)
        number += 1
    return latencies


def _together(reader: Any, count: int) -> None:
    threads = [threading.Thread(target=reader, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


_KINDS: dict[str, Callable[..., dict[str, Any]]] = {
    "randomly": randomly,
    "streaming": streaming,
    "asking": asking,
}

if __name__ == "__main__":
    print(json.dumps(_KINDS[sys.argv[1]](**json.load(sys.stdin))))
