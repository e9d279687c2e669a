"""Reading, timed: by the programs that people use."""

from __future__ import annotations

import json
import os
from typing import Any

from tests.bench.processes import CommandFailed, run, timed
from tests.bench.python import environment, python

MIB = 1 << 20
GIB = 1 << 30
_SLOWEST_BYTES_PER_S = 4e6
"""A read that is slower than this is given up."""


def give_up_s(length: int) -> float:
    return 20 + length / _SLOWEST_BYTES_PER_S / 8


def dd(path: str, length: int) -> float:
    """MB/s of ``dd bs=1M`` from the start of a file."""
    arguments = ["dd", f"if={path}", f"of={os.devnull}", "bs=1M", f"count={-(-length // MIB)}"]
    return mb_per_s(length, timed(arguments, give_up_s(length)))


def mb_per_s(length: int, seconds: float) -> float:
    return length / 1e6 / seconds


def expect_sha256(path: str, size: int, expected: str) -> None:
    """The bytes are right, or the row has failed."""
    done = run(["sha256sum", "--", path], give_up_s(size) + 30)
    digest = done.stdout.split()[0].lstrip(b"\\").decode()
    if digest != expected:
        raise CommandFailed(f"WRONG BYTES: {path}: {digest}, not {expected}")


def reader(kind: str, timeout_s: float, **arguments: object) -> Any:
    """Run one of ``tests.bench.readers`` and return what it found."""
    command = [*python("tests.bench.readers"), kind]
    given = json.dumps(arguments).encode()
    return json.loads(run(command, timeout_s, environment(), given).stdout)


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
