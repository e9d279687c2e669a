"""Where each byte of a draft lies: in its data file, in the base version, or nowhere. Pure.

Only what was written has an extent; a byte without one is the base version's as far as
``base_bytes`` goes, and a hole behind that. Extents lie in chunks of 16 MiB of the draft: a random
write changes one small chunk, a confirmation stores the chunks that changed, and a frozen map
shares them all.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import Literal, NamedTuple, Self

from dmfs.spans import MIB

CHUNK_BYTES = 16 * MIB
"""At worst 4096 extents of a page each, 64 KiB in the journal; 100 GB in one stretch: 6000 rows."""
_COUNT = struct.Struct("<I")

Kind = Literal["data", "base", "hole"]


class Piece(NamedTuple):
    """A stretch of a draft that comes from one place."""

    kind: Kind
    start: int
    """Offset in the draft."""
    length: int
    position: int
    """Offset in the data file or in the base version; 0 for a hole."""

    @property
    def stop(self) -> int:
        return self.start + self.length


class Chunk:
    """Sorted extents that do not overlap, of one chunk of a draft. Offsets are the draft's."""

    __slots__ = ("positions", "starts", "stops")

    def __init__(self) -> None:
        self.starts, self.stops, self.positions = array("Q"), array("Q"), array("Q")

    def copy(self) -> Chunk:
        twin = Chunk()
        twin.starts, twin.stops = self.starts[:], self.stops[:]
        twin.positions = self.positions[:]
        return twin

    def put(self, start: int, stop: int, position: int) -> None:
        """What was at ``[start, stop)`` is covered by the data file from ``position`` on."""
        first = bisect_right(self.stops, start)
        last = bisect_left(self.starts, stop)
        fresh = [(start, stop, position)]
        if first < last:  # these overlap: what sticks out on both sides stays
            if self.starts[first] < start:
                fresh.insert(0, (self.starts[first], start, self.positions[first]))
            end = last - 1
            if self.stops[end] > stop:
                rest = self.positions[end] + stop - self.starts[end]
                fresh.append((stop, self.stops[end], rest))
        if first > 0 and self.stops[first - 1] == fresh[0][0]:
            before = first - 1
            length = self.stops[before] - self.starts[before]
            if self.positions[before] + length == fresh[0][2]:  # a stream: one longer extent
                fresh[0] = (self.starts[before], fresh[0][1], self.positions[before])
                first = before
        self.starts[first:last] = array("Q", [each[0] for each in fresh])
        self.stops[first:last] = array("Q", [each[1] for each in fresh])
        self.positions[first:last] = array("Q", [each[2] for each in fresh])

    def cut(self, stop: int) -> None:
        """Nothing at or behind ``stop``."""
        count = bisect_left(self.starts, stop)
        for each in (self.starts, self.stops, self.positions):
            del each[count:]
        if count and self.stops[-1] > stop:
            self.stops[-1] = stop

    def overlapping(self, start: int, stop: int) -> Iterator[Piece]:
        """Its extents within ``[start, stop)``, in order, clipped to that."""
        for index in range(bisect_right(self.stops, start), len(self.starts)):
            begin, end = self.starts[index], self.stops[index]
            if begin >= stop:
                break
            clipped = max(begin, start)
            position = self.positions[index] + clipped - begin
            yield Piece("data", clipped, min(end, stop) - clipped, position)

    def all_pieces(self) -> Iterator[Piece]:
        """All of its extents, in order."""
        for start, stop, position in zip(self.starts, self.stops, self.positions, strict=True):
            yield Piece("data", start, stop - start, position)

    def encode(self, number: int) -> bytes:
        """As the journal has it: count, starts in the chunk, lengths, positions."""
        count, origin = len(self.starts), number * CHUNK_BYTES
        lengths = [stop - start for start, stop in zip(self.starts, self.stops, strict=True)]
        return b"".join((
            _COUNT.pack(count),
            struct.pack(f"<{count}I", *[start - origin for start in self.starts]),
            struct.pack(f"<{count}I", *lengths),
            struct.pack(f"<{count}Q", *self.positions),
        ))  # fmt: skip

    @classmethod
    def decode(cls, number: int, blob: bytes) -> Self:
        """ValueError for one that no ``encode`` has made."""
        try:
            (count,) = _COUNT.unpack_from(blob)
            values = struct.unpack(f"<{2 * count}I{count}Q", blob[_COUNT.size :])
        except struct.error as error:
            raise ValueError(f"no extents: {error}") from error
        chunk, end = cls(), 0
        for begin, length, position in zip(
            values[:count], values[count : 2 * count], values[2 * count :], strict=True
        ):
            if begin < end or not length or begin + length > CHUNK_BYTES:
                raise ValueError("extents that overlap")
            end = begin + length
            chunk.starts.append(number * CHUNK_BYTES + begin)
            chunk.stops.append(number * CHUNK_BYTES + end)
            chunk.positions.append(position)
        return chunk


class ExtentMap:
    """The extents of one draft. It knows no size: its owner asks only for what there is."""

    def __init__(self, base_bytes: int = 0, chunks: dict[int, Chunk] | None = None) -> None:
        self.base_bytes = base_bytes
        """The base version shows through up to here, wherever nothing was written."""
        self.chunks = {} if chunks is None else chunks
        """Chunk number → its extents; not to be changed from outside."""
        self._own: set[int] = set()
        """Chunks that no frozen map shares."""

    def freeze(self) -> ExtentMap:
        """The map as it is now; changes of this one do not reach it."""
        self._own.clear()
        return ExtentMap(self.base_bytes, dict(self.chunks))

    def put(self, start: int, stop: int, position: int) -> None:
        """``[start, stop)`` was written, and lies at ``position`` of the data file."""
        while start < stop:
            number = start // CHUNK_BYTES
            end = min(stop, (number + 1) * CHUNK_BYTES)
            self._owned(number).put(start, end, position)
            position += end - start
            start = end

    def cut(self, size_bytes: int) -> None:
        """The draft ends here: what is behind never shows again."""
        self.base_bytes = min(self.base_bytes, size_bytes)
        edge = size_bytes // CHUNK_BYTES
        for number in [each for each in self.chunks if each >= edge]:
            if number == edge:
                chunk = self._owned(number)
                chunk.cut(size_bytes)
                if chunk.starts:
                    continue
            del self.chunks[number]
            self._own.discard(number)

    def pieces(self, start: int, stop: int) -> list[Piece]:
        """All of ``[start, stop)``, in order and without a gap; neighbours that go on in the same
        place are one piece."""
        found: list[Piece] = []
        at = start
        for piece in self._data(start, stop):
            self._fill(found, at, piece.start)
            _append(found, piece)
            at = piece.stop
        self._fill(found, at, stop)
        return found

    def data_bytes(self) -> int:
        """How many bytes of the data file it uses."""
        return sum(sum(each.stops) - sum(each.starts) for each in self.chunks.values())

    def count(self) -> int:
        """How many extents there are; one in two chunks counts twice."""
        return sum(len(each.starts) for each in self.chunks.values())

    def base_runs(self, size_bytes: int) -> bool:
        """Whether a byte of the first ``size_bytes`` is the base version's."""
        stop = min(self.base_bytes, size_bytes)
        return any(piece.kind == "base" for piece in self._runs(stop))

    def is_whole(self, size_bytes: int) -> bool:
        """Whether the first ``size_bytes`` of the data file are the draft as it is."""
        return all(
            piece.kind == "data" and piece.position == piece.start
            for piece in self._runs(size_bytes)
        )

    def _runs(self, stop: int) -> Iterator[Piece]:
        """The pieces chunk by chunk, so that who looks for one need not see them all."""
        for start in range(0, stop, CHUNK_BYTES):
            yield from self.pieces(start, min(start + CHUNK_BYTES, stop))

    def _owned(self, number: int) -> Chunk:
        chunk = self.chunks.get(number)
        if chunk is None or number not in self._own:
            chunk = self.chunks[number] = Chunk() if chunk is None else chunk.copy()
            self._own.add(number)
        return chunk

    def _data(self, start: int, stop: int) -> Iterator[Piece]:
        numbers: Iterator[int] | list[int] = iter(
            range(start // CHUNK_BYTES, -(-stop // CHUNK_BYTES))
        )
        if stop - start > len(self.chunks) * CHUNK_BYTES:  # a hole of terabytes
            numbers = sorted(self.chunks)
        for number in numbers:
            if number in self.chunks:
                yield from self.chunks[number].overlapping(start, stop)

    def _fill(self, found: list[Piece], start: int, stop: int) -> None:
        edge = min(max(self.base_bytes, start), stop)
        if start < edge:
            _append(found, Piece("base", start, edge - start, start))
        if edge < stop:
            _append(found, Piece("hole", edge, stop - edge, 0))


def _append(found: list[Piece], piece: Piece) -> None:
    if found:
        last = found[-1]
        goes_on = piece.kind == "hole" or last.position + last.length == piece.position
        if last.kind == piece.kind and last.stop == piece.start and goes_on:
            found[-1] = last._replace(length=last.length + piece.length)
            return
    found.append(piece)


def is_zero(data: bytes | memoryview) -> bool:
    """Whether all bytes are 0; most data shows at one of its ends that they are not."""
    return not (data[0] or data[-1]) and bytes(data) == bytes(len(data))
