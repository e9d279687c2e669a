"""Uploaded bytes: one file that has no name, so that it is gone with the process however it ends.

It only grows, and sparsely: bytes that were sent twice or never used stay until then.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from typing import IO

_PIECE_BYTES = 1024 * 1024


class PartFile:
    """Regions of the file are reserved, then written in order."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self.size_bytes = 0

    def _descriptor(self) -> int:
        if self._file is None:
            self._file = tempfile.TemporaryFile(prefix="dmfs-emulator-", buffering=0)  # noqa: SIM115 - lives as long as the process
        return self._file.fileno()

    def reserve(self, length: int) -> int:
        """The position of a new region of that many bytes."""
        position = self.size_bytes
        self.size_bytes += length
        return position

    def write(self, position: int, data: bytes | bytearray | memoryview) -> None:
        """All of ``data`` from ``position`` on."""
        view = memoryview(data)
        while view:
            count = os.pwrite(self._descriptor(), view, position)
            position, view = position + count, view[count:]

    def read(self, position: int, length: int) -> bytes:
        """That many bytes; regions that were not written are zeros."""
        data = os.pread(self._descriptor(), length, position)
        return data + bytes(length - len(data))


class Stored:
    """Content made of regions of the file, one behind the other."""

    def __init__(self, file: PartFile, regions: Sequence[tuple[int, int]]) -> None:
        """``regions``: position and length."""
        self._file = file
        self.regions = tuple(regions)
        self._size = sum(length for _, length in self.regions)

    @property
    def size(self) -> int:
        return self._size

    @property
    def is_ready(self) -> bool:
        return True

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """The bytes ``[start, stop)``, read as they are wanted."""
        before = 0
        for position, length in self.regions:
            first, last = max(start, before), min(stop, before + length)
            while first < last:
                count = min(_PIECE_BYTES, last - first)
                yield memoryview(self._file.read(position + first - before, count))
                first += count
            before += length


def joined(file: PartFile, contents: Sequence[Stored]) -> Stored:
    """The parts of an object as one."""
    return Stored(file, [region for content in contents for region in content.regions])
