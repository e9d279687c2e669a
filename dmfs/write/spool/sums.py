"""Checksums of a data file: CRC-32 of each 64 KiB of it, bound to their place. Pure.

The file only grows, so a full unit's checksum never changes; that of the last, growing unit goes on
from where it was.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from isal import isal_zlib

from dmfs.spans import KIB

UNIT_BYTES = 64 * KIB
PAGE_UNITS = 1024
"""Checksums in one row of the journal: a confirmation rewrites at most the last 4 KiB of them."""

Part = bytes | bytearray | memoryview


class Mark(NamedTuple):
    """How far a file was summed: its length, and the checksum of its last, short unit."""

    end: int
    crc: int


class More(NamedTuple):
    """What bytes at the end of a file add to its checksums."""

    crcs: list[int]
    """Of the units that became full."""
    mark: Mark


class Sums:
    """Of one data file; ``salt`` tells it from others."""

    def __init__(self, salt: str) -> None:
        self._salt = salt
        self._crcs = array("I")
        self.mark = Mark(0, self._seed(0))

    @property
    def end(self) -> int:
        return self.mark.end

    def _seed(self, unit: int) -> int:
        return isal_zlib.crc32(f"{self._salt} {unit}".encode())

    def more(self, mark: Mark, parts: Iterable[Part]) -> More:
        """What ``parts``, behind ``mark``, will add. Changes nothing: a thread may do it."""
        crcs: list[int] = []
        end, crc = mark
        for part in parts:
            view = memoryview(part)
            while view:
                length = UNIT_BYTES - end % UNIT_BYTES
                taken, view = view[:length], view[length:]
                crc = isal_zlib.crc32(taken, crc)
                end += len(taken)
                if end % UNIT_BYTES == 0:
                    crcs.append(crc)
                    crc = self._seed(end // UNIT_BYTES)
        return More(crcs, Mark(end, crc))

    def add(self, more: More) -> None:
        """The bytes are in the file."""
        self._crcs.extend(more.crcs)
        self.mark = more.mark

    def are_right(self, position: int, data: memoryview, mark: Mark) -> bool:
        """Whether ``data``, read at ``position``, is what was written. Both ends lie at the edge of
        a unit, or ``data`` ends at ``mark``."""
        first = position // UNIT_BYTES
        before = Mark(position, self._seed(first))
        crcs, (end, crc) = self.more(before, [data])
        if self._crcs[first : first + len(crcs)] != array("I", crcs):
            return False
        return end % UNIT_BYTES == 0 or (end, crc) == mark

    # In the journal

    def pages(self, mark: Mark, since_bytes: int) -> dict[int, bytes]:
        """The rows that differ between a file of ``since_bytes`` and one that ends at ``mark``."""
        full, rest = divmod(mark.end, UNIT_BYTES)
        units = full + (rest > 0)
        found = {}
        for page in range(since_bytes // UNIT_BYTES // PAGE_UNITS, -(-units // PAGE_UNITS)):
            crcs = list(self._crcs[page * PAGE_UNITS : min((page + 1) * PAGE_UNITS, full)])
            if rest and full // PAGE_UNITS == page:
                crcs.append(mark.crc)
            found[page] = struct.pack(f"<{len(crcs)}I", *crcs)
        return found

    def load(self, pages: Mapping[int, bytes], end: int) -> None:
        """Go on from what the journal has. ValueError if that is not all."""
        units = -(-end // UNIT_BYTES)
        count = -(-units // PAGE_UNITS)
        blob = b"".join(pages.get(page, b"") for page in range(count))
        if len(blob) != 4 * units:
            raise ValueError("checksums are missing")
        crcs = struct.unpack(f"<{units}I", blob)
        full = end // UNIT_BYTES
        self._crcs = array("I", crcs[:full])
        self.mark = Mark(end, crcs[full] if full < units else self._seed(full))
