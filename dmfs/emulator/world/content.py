"""The bytes of storage objects, as a function of (seed, offset).

A computed object repeats one *tile* of pseudo-random bytes that is seeded by its storage id and
has a prime length a little below 1 MiB, so that byte ``o`` is ``tile[o % TILE_BYTES]``: any slice
of a 50 GB file costs nothing, and a block that is misplaced or belongs to another file shows.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from typing import Protocol

TILE_BYTES = 1_048_573
"""The largest prime below 2**20: no power-of-two block is ever a shifted copy of its neighbour."""
_CACHE_BYTES = 128 * 1024 * 1024


class Content(Protocol):
    """Bytes of a known length that can be read from anywhere."""

    @property
    def size(self) -> int:
        """Length in bytes."""

    @property
    def is_ready(self) -> bool:
        """Whether the first piece comes without long work; else see ``content_threads.prepare``."""

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """The bytes ``[start, stop)``, in pieces of at most about 1 MiB, without copying."""


class _Tiles:
    """The most recent tiles, within a byte budget. Used by worker threads as well."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget_bytes = budget_bytes
        self._size_bytes = 0
        self._tiles: OrderedDict[tuple[str, int], memoryview] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, seed: str, size: int) -> memoryview:
        """A tile long enough that every piece is one slice: whole tiles are stored twice over."""
        needed = min(size, TILE_BYTES)
        key = (seed, needed)
        with self._lock:
            found = self._tiles.get(key)
            if found is not None:
                self._tiles.move_to_end(key)
                return found
        # An extendable-output hash: the tile of a short object is a prefix of the long one.
        raw = hashlib.shake_128(seed.encode("utf-8", "surrogatepass")).digest(needed)
        tile = memoryview(raw + raw if needed == TILE_BYTES else raw)
        with self._lock:
            self._tiles[key] = tile
            self._size_bytes += len(tile)
            while self._size_bytes > self._budget_bytes and len(self._tiles) > 1:
                _, dropped = self._tiles.popitem(last=False)
                self._size_bytes -= len(dropped)
        return tile


_tiles = _Tiles(_CACHE_BYTES)


class Computed:
    """Pseudo-random bytes of any length; see the module."""

    def __init__(self, seed: str, size: int) -> None:
        self.seed = seed
        self._size = size

    @property
    def size(self) -> int:
        return self._size

    @property
    def is_ready(self) -> bool:
        return True

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """Slices of the tile that repeats, without copying."""
        stop = min(stop, self._size)
        if start >= stop:
            return
        tile = _tiles.get(self.seed, self._size)
        while start < stop:
            at = start % TILE_BYTES
            length = min(TILE_BYTES, stop - start)
            yield tile[at : at + length]
            start += length


class Literal:
    """Bytes made by a function, once, on first use."""

    def __init__(self, make: Callable[[], bytes] | bytes) -> None:
        self._make = make
        self._view: memoryview | None = None

    def _bytes(self) -> memoryview:
        if self._view is None:
            self._view = memoryview(self._make if isinstance(self._make, bytes) else self._make())
        return self._view

    @property
    def size(self) -> int:
        return len(self._bytes())

    @property
    def is_ready(self) -> bool:
        return True

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        view = self._bytes()[start:stop]
        for at in range(0, len(view), TILE_BYTES):
            yield view[at : at + TILE_BYTES]


class Part:
    """A contiguous part of other content, with offsets of its own."""

    def __init__(self, whole: Content, start: int, stop: int) -> None:
        self._whole, self._start, self._stop = whole, start, stop

    @property
    def size(self) -> int:
        return self._stop - self._start

    @property
    def is_ready(self) -> bool:
        return self._whole.is_ready

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        return self._whole.pieces(self._start + start, min(self._start + stop, self._stop))


def read(content: Content, start: int, stop: int) -> bytes:
    """The bytes ``[start, stop)`` clamped to the content, joined."""
    return b"".join(content.pieces(start, min(stop, content.size)))


def hex_digest(content: Content, algorithm: str) -> str:
    """The digest of all bytes. Slow for big content (about 2 GB/s): call it in a thread."""
    hasher = hashlib.new(algorithm)
    feed(content, hasher)
    return hasher.hexdigest()


def feed(content: Content, into: hashlib._Hash) -> None:
    """All bytes to a hash. As slow."""
    for piece in content.pieces(0, content.size):
        into.update(piece)
