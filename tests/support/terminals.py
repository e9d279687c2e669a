"""A shell at a terminal, as a person has it: what is typed, and what it shows."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


class Terminal:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._shown = b""

    def type(self, text: str) -> None:
        self._shown = b""
        os.write(self._descriptor, text.encode())

    def shows(self, expected: str, timeout_s: float = 30.0) -> None:
        """Wait until it does. AssertionError with what it showed instead."""
        give_up = time.monotonic() + timeout_s
        while expected.encode() not in self._shown:
            left_s = give_up - time.monotonic()
            ready, _, _ = select.select([self._descriptor], [], [], max(0.0, left_s))
            shown = self._shown.decode(errors="replace")
            assert ready, f"{expected!r} is not in {shown!r}"
            try:
                more = os.read(self._descriptor, 65536)
            except OSError:
                more = b""
            assert more, f"it ended; {expected!r} is not in {shown!r}"
            self._shown += more


@contextlib.contextmanager
def terminal(command: Sequence[str], environ: Mapping[str, str], at: Path) -> Iterator[Terminal]:
    """A program at a terminal of its own, in a directory; killed when the body ends."""
    descriptor, other_end = pty.openpty()
    # not pty.fork: a process with threads should not fork and go on in Python
    process = subprocess.Popen(
        ["setsid", "--ctty", *command], stdin=other_end, stdout=other_end, stderr=other_end,
        env=dict(environ), cwd=at,
    )  # fmt: skip
    os.close(other_end)
    try:
        yield Terminal(descriptor)
    finally:
        os.close(descriptor)
        process.kill()
        process.wait()
