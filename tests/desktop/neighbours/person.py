"""A person's own program: reads files and compares their SHA-256, lists folders, until its stdin
ends; then it says what it saw. ``python person.py ORDER``: a JSON file with ``files`` (path →
SHA-256), ``folders`` and ``pause_s``. Imports nothing of dmfs."""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import json
import os
import select
import sys
import time
from pathlib import Path
from typing import Any

_PR_SET_NAME = 15
NAME = "person"
"""Of its process: how events tell it from the neighbour."""
SLOW_S = 25.0
"""A read of some 100 KB that takes longer is as bad as an error."""


class Watch:
    """Counts what went well, and tells what did not."""

    def __init__(self) -> None:
        self.reads = self.lists = 0
        self.errors: list[str] = []
        self.slowest_s = 0.0

    def read(self, path: str, sha256: str) -> None:
        started = time.monotonic()
        try:
            found = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        except OSError as error:
            self.errors.append(f"reading {path}: {error.strerror}")
            return
        self.reads += 1
        if found != sha256:
            self.errors.append(f"wrong bytes: {path}")
        self._took(started, path)

    def list(self, path: str) -> None:
        started = time.monotonic()
        try:
            with os.scandir(path) as entries:
                found = [entry.stat(follow_symlinks=False).st_size for entry in entries]
        except OSError as error:
            self.errors.append(f"listing {path}: {error.strerror}")
            return
        self.lists += 1
        if not found:
            self.errors.append(f"nothing in {path}")
        self._took(started, path)

    def _took(self, started: float, path: str) -> None:
        took_s = time.monotonic() - started
        self.slowest_s = max(self.slowest_s, took_s)
        if took_s > SLOW_S:
            self.errors.append(f"{took_s:.0f} s for {path}")

    def as_dict(self) -> dict[str, Any]:
        return {"reads": self.reads, "lists": self.lists, "errors": self.errors,
                "slowest_s": round(self.slowest_s, 2)}  # fmt: skip


def main(order: dict[str, Any]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_NAME, NAME.encode(), 0, 0, 0)
    watch = Watch()
    folders = itertools.cycle(order["folders"])
    for path, sha256 in itertools.cycle(order["files"].items()):
        if select.select([sys.stdin], [], [], order["pause_s"])[0]:
            break
        watch.read(path, sha256)
        watch.list(next(folders))
    json.dump(watch.as_dict(), sys.stdout)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text("utf-8")))
