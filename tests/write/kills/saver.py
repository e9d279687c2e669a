"""Saves files in every way until the drive is gone: ``python saver.py DIRECTORY SEED FIRST``.

One line before each save and one after it: ``try NAME SHA256 WAY`` and ``done NAME``. Standard
library only.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

NAMES = ("plan.dwg", "text.txt", "model.rvt", "table.ods")


def say(*words: str) -> None:
    print(*words, flush=True)


def in_place(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def renamed(path: Path, data: bytes) -> None:
    other = path.with_name(f".{path.name}.Ab1{os.getpid() % 1000:03}")
    with other.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    other.rename(path)


def backed_up(path: Path, data: bytes) -> None:
    if path.exists():
        path.rename(path.with_name(f"{path.name}~"))
    path.write_bytes(data)
    path.with_name(f"{path.name}~").unlink(missing_ok=True)


def synced(path: Path, data: bytes) -> None:
    """In pieces, and closed only later."""
    with path.open("r+b" if path.exists() else "wb") as file:
        for start in range(0, len(data), 5000):
            file.write(data[start : start + 5000])
        file.truncate()
        file.flush()
        os.fsync(file.fileno())


WAYS: list[Callable[[Path, bytes], None]] = [in_place, renamed, backed_up, synced]


def main() -> None:
    directory, seed, first = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    chance = random.Random(f"{seed} {first}")
    try:
        while True:
            name = chance.choice(NAMES)
            data = chance.randbytes(chance.randrange(1, 60_000))
            way = chance.choice(WAYS)
            say("try", name, hashlib.sha256(data).hexdigest(), way.__name__)
            way(directory / name, data)
            say("done", name)
    except OSError as error:
        say("over", str(error.errno))


if __name__ == "__main__":
    main()
