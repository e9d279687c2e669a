"""Where the bytes of a part come from: pieces of files, of memory, and zeros. Pure but for pread.

Nothing is read before it is sent, so a part takes no memory of its own, whatever its size.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

_ZEROS = bytes(1024 * 1024)


@dataclass(frozen=True, slots=True)
class FileSlice:
    """``length`` bytes of an open file from ``position``."""

    descriptor: int
    position: int
    length: int


@dataclass(frozen=True, slots=True)
class Zeros:
    """A hole."""

    length: int


Slice = FileSlice | Zeros | bytes | bytearray | memoryview


def length_of(piece: Slice) -> int:
    """In bytes."""
    if isinstance(piece, FileSlice | Zeros):
        return piece.length
    return piece.nbytes if isinstance(piece, memoryview) else len(piece)


class EndedEarlyError(Exception):
    """A file has fewer bytes than its slice."""


class Source:
    """The pieces as one stream that can go back."""

    def __init__(self, pieces: Sequence[Slice]) -> None:
        self._pieces = [piece for piece in pieces if length_of(piece)]
        self._stops = list(accumulate(map(length_of, self._pieces)))
        self.length = self._stops[-1] if self._stops else 0
        self.position = 0

    def descriptors(self) -> set[int]:
        """Of the files that it reads."""
        return {piece.descriptor for piece in self._pieces if isinstance(piece, FileSlice)}

    def read(self, most: int) -> bytes:
        """The next bytes, ``most`` of them unless the end is nearer; b"" at the end. Blocks on the
        files' disk. OSError, EndedEarlyError."""
        found: list[bytes] = []
        number = bisect_right(self._stops, self.position)
        while most > 0 and number < len(self._pieces):
            piece = self._pieces[number]
            offset = self.position - (self._stops[number] - length_of(piece))
            some = _bytes_of(piece, offset, min(most, length_of(piece) - offset))
            if not some:
                raise EndedEarlyError
            found.append(some)
            self.position += len(some)
            most -= len(some)
            number += self.position >= self._stops[number]
        return found[0] if len(found) == 1 else b"".join(found)

    def seek(self, position: int) -> None:
        """Go on from there; beyond the end is the end."""
        self.position = min(max(position, 0), self.length)


def _bytes_of(piece: Slice, offset: int, length: int) -> bytes:
    if isinstance(piece, FileSlice):
        return os.pread(piece.descriptor, length, piece.position + offset)
    if isinstance(piece, Zeros):
        return _ZEROS[:length]
    return bytes(memoryview(piece).cast("B")[offset : offset + length])
