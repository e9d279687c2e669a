"""A file system exerciser: random operations on one file, held against an array in memory.

As a program of its own, on any directory: ``python -m tests.write.kills.fsx DIRECTORY --ops 1000``.
"""

from __future__ import annotations

import argparse
import itertools
import mmap
import os
import random
import time
from collections.abc import Callable
from pathlib import Path


class DifferenceError(AssertionError):
    """What was read is not what was written."""


class Exerciser:
    """Operations on one file; the same seed makes the same ones."""

    def __init__(self, path: Path, seed: int, *, size_max: int = 300_000, piece_max: int = 70_000):
        self.path = path
        self.model = bytearray()
        self.ops = 0
        self.log: list[str] = []
        self._random = random.Random(seed)
        self._size_max, self._piece_max = size_max, piece_max
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._choices: list[tuple[int, Callable[[], str]]] = [
            (20, self._read), (20, self._write), (6, self._truncate), (10, self._map_read),
            (10, self._map_write), (4, self._append), (4, self._sync), (6, self._reopen),
            (1, self._start_over), (2, self._truncate_by_name), (2, self._check_size),
            (2, self._late_store), (1, self._allocate), (2, self._rename),
        ]  # fmt: skip

    def run(self, ops: int) -> None:
        """So many operations. DifferenceError."""
        weights, calls = zip(*self._choices, strict=True)
        for call in self._random.choices(calls, weights, k=ops):
            self.ops += 1
            self.log.append(f"{self.ops} {call.__name__.lstrip('_')} {call()}")
            del self.log[:-40]

    def check(self) -> None:
        """All of it, by a handle of its own."""
        self._compare(0, self.path.read_bytes(), bytes(self.model), "the whole file")

    def close(self) -> None:
        os.close(self._fd)

    def open(self) -> None:
        """Again, after ``close``."""
        self._fd = os.open(self.path, os.O_RDWR)

    # What is done. Each tells what it was.

    def _span(self) -> tuple[int, int]:
        """Offset and length of a read, often beyond the end."""
        size = len(self.model)
        offset = self._random.randrange(size + 1)
        return offset, self._random.randint(1, self._piece_max)

    def _room(self) -> tuple[int, bytes]:
        """Where to write what; most often within the file or at its end."""
        size = len(self.model)
        kind = self._random.random()
        offset = self._random.randrange(size + 1)
        if kind < 0.2:
            offset = size
        elif kind < 0.3:
            offset = self._random.randrange(self._size_max)
        elif kind < 0.5:
            offset = offset // 4096 * 4096
        length = self._random.choice((1, 100, 4096, self._piece_max))
        length = min(self._random.randint(1, length), self._size_max - offset)
        if self._random.random() < 0.1:
            return offset, bytes(length)
        return offset, self._random.randbytes(max(length, 0))

    def _read(self) -> str:
        offset, length = self._span()
        self._compare(offset, os.pread(self._fd, length, offset), self._part(offset, length))
        return f"{offset} {length}"

    def _write(self) -> str:
        offset, data = self._room()
        self._put(offset, data)
        os.pwrite(self._fd, data, offset)
        return f"{offset} {len(data)}"

    def _append(self) -> str:
        data = self._room()[1][: max(0, self._size_max - len(self.model))]
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(fd, data)
        finally:
            os.close(fd)
        self.model += data
        return str(len(data))

    def _truncate(self) -> str:
        size = self._new_size()
        os.ftruncate(self._fd, size)
        return str(size)

    def _truncate_by_name(self) -> str:
        size = self._new_size()
        os.truncate(self.path, size)
        return str(size)

    def _new_size(self) -> int:
        size = self._random.randrange(self._size_max)
        if self._random.random() < 0.5:
            size = self._random.randrange(len(self.model) + 1)
        del self.model[size:]
        self.model += bytes(size - len(self.model))
        return size

    def _start_over(self) -> str:
        os.close(self._fd)
        self._fd = os.open(self.path, os.O_RDWR | os.O_TRUNC)
        self.model.clear()
        return ""

    def _allocate(self) -> str:
        size = self._random.randrange(1, self._size_max)
        os.posix_fallocate(self._fd, 0, size)
        self.model += bytes(max(0, size - len(self.model)))
        return str(size)

    def _map_read(self) -> str:
        if not self.model:
            return "nothing"
        offset, length = self._span()
        with mmap.mmap(self._fd, 0, prot=mmap.PROT_READ) as view:
            self._compare(0, b"", b"" if len(view) == len(self.model) else b"size", "the map")
            self._compare(offset, view[offset : offset + length], self._part(offset, length))
        return f"{offset} {length}"

    def _map_write(self) -> str:
        if not self.model:
            return "nothing"
        offset, data = self._room()
        data = data[: max(0, len(self.model) - offset)]
        with mmap.mmap(self._fd, 0) as view:
            view[offset : offset + len(data)] = data
            if self._random.random() < 0.5:
                view.flush()
        self._put(offset, data)
        return f"{offset} {len(data)}"

    def _late_store(self) -> str:
        """A map outlives the handle that it was made by."""
        if not self.model:
            return "nothing"
        fd = os.open(self.path, os.O_RDWR)
        view = mmap.mmap(fd, 0)
        os.close(fd)
        offset = self._random.randrange(len(self.model))
        view[offset : offset + 1] = b"L"
        view.flush()  # else the store is seen only where it is written back
        view.close()
        self._put(offset, b"L")
        return str(offset)

    def _sync(self) -> str:
        os.fsync(self._fd)
        return ""

    def _reopen(self) -> str:
        os.close(self._fd)
        self.open()
        return ""

    def _rename(self) -> str:
        """The handle goes with it."""
        other = self.path.with_name(f"{self.path.name}.moved")
        self.path.rename(other)
        other.rename(self.path)
        return ""

    def _check_size(self) -> str:
        sizes = os.fstat(self._fd).st_size, self.path.stat().st_size
        if sizes != (len(self.model), len(self.model)):
            raise DifferenceError(f"size {sizes}, not {len(self.model)}\n" + "\n".join(self.log))
        return str(sizes[0])

    def _put(self, offset: int, data: bytes) -> None:
        if data:
            self.model += bytes(max(0, offset - len(self.model)))
            self.model[offset : offset + len(data)] = data

    def _part(self, offset: int, length: int) -> bytes:
        return bytes(self.model[offset : offset + length])

    def _compare(self, offset: int, found: bytes, wanted: bytes, what: str = "read") -> None:
        if found == wanted:
            return
        pairs = itertools.zip_longest(found, wanted)
        first = next(n for n, (one, other) in enumerate(pairs) if one != other)
        raise DifferenceError(
            f"{what}: {len(found)} bytes, not {len(wanted)}, other from {offset + first} on, "
            f"in operation {self.ops + 1}\n" + "\n".join(self.log)
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--ops", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=0.0, help="go on for so long")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    started = time.monotonic()
    for seed in itertools.count(asked.seed):
        exerciser = Exerciser(asked.directory / f"fsx.{seed}", seed)
        exerciser.run(asked.ops)
        exerciser.check()
        exerciser.close()
        if time.monotonic() - started >= asked.seconds:
            break


if __name__ == "__main__":
    main()
