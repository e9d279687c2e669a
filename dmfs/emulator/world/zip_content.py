"""A big zip archive that exists only as a formula.

Stored (uncompressed) members with real headers and a real central directory; the members' data
are the computed bytes of the archive's own storage id at the archive's own offsets, so every byte
of the archive is still tied to its place. CRCs are computed when the first byte is read
(zlib does 4 GB/s: a quarter of a second for 1 GiB).
"""

from __future__ import annotations

import struct
import threading
import zlib
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

from dmfs.emulator.world.content import Computed

_LOCAL = struct.Struct("<4s5H3L2H")
_CENTRAL = struct.Struct("<4s6H3L5H2L")
_END = struct.Struct("<4s4H2LH")
_DOS_DATE = (2024 - 1980) << 9 | 1 << 5 | 1
_VERSION = 20
_UTF8_FLAG = 0x800


@dataclass(frozen=True)
class Member:
    """One stored file: its name, where its local header starts, where its data do."""

    name: bytes
    header_at: int
    data_at: int
    size: int


class ZipArchive:
    """Content that is a valid archive of ``count`` equal members, ``total_bytes`` long or less."""

    def __init__(self, seed: str, total_bytes: int, count: int, prefix: str = "scan") -> None:
        names = [f"{prefix}/part-{number:04d}.bin".encode() for number in range(count)]
        overhead = sum(_LOCAL.size + _CENTRAL.size + 2 * len(name) for name in names) + _END.size
        member_size = max((total_bytes - overhead) // count, 0)
        self.members: list[Member] = []
        at = 0
        for name in names:
            data_at = at + _LOCAL.size + len(name)
            self.members.append(Member(name, at, data_at, member_size))
            at = data_at + member_size
        self._directory_at = at
        self._size = at + sum(_CENTRAL.size + len(name) for name in names) + _END.size
        if self._size >= 1 << 32 or count >= 1 << 16:
            raise ValueError("a zip archive of 4 GiB or 65536 members would need ZIP64")
        self._stream = Computed(seed, max(self._size, 1))
        self._starts: list[int] = []
        self._segments: list[tuple[int, memoryview | None]] = []
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        return self._size

    @property
    def is_ready(self) -> bool:
        return bool(self._segments)

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """Slices of the headers and of the members' stream, in order."""
        self._layout()
        stop = min(stop, self._size)
        while start < stop:
            index = bisect_right(self._starts, start) - 1
            begin, literal = self._segments[index]
            last = index + 1 == len(self._starts)
            end = min(stop, self._size if last else self._starts[index + 1])
            if literal is not None:
                yield literal[start - begin : end - begin]
            else:
                yield from self._stream.pieces(start, end)
            start = end

    def _layout(self) -> None:
        with self._lock:
            if self._segments:
                return
            segments: list[tuple[int, memoryview | None]] = []
            central: list[bytes] = []
            for member in self.members:
                crc = 0
                for piece in self._stream.pieces(member.data_at, member.data_at + member.size):
                    crc = zlib.crc32(piece, crc)
                segments.append((member.header_at, memoryview(_local_header(member, crc))))
                segments.append((member.data_at, None))
                central.append(_central_header(member, crc))
            directory = b"".join(central)
            count = len(self.members)
            end = _END.pack(b"PK\5\6", 0, 0, count, count, len(directory), self._directory_at, 0)
            segments.append((self._directory_at, memoryview(directory + end)))
            self._starts = [begin for begin, _ in segments]
            self._segments = segments


def _local_header(member: Member, crc: int) -> bytes:
    return (
        _LOCAL.pack(
            b"PK\3\4", _VERSION, _UTF8_FLAG, 0, 0, _DOS_DATE,
            crc, member.size, member.size, len(member.name), 0,
        )
        + member.name
    )  # fmt: skip


def _central_header(member: Member, crc: int) -> bytes:
    return (
        _CENTRAL.pack(
            b"PK\1\2", _VERSION, _VERSION, _UTF8_FLAG, 0, 0, _DOS_DATE,
            crc, member.size, member.size, len(member.name), 0, 0, 0, 0, 0, member.header_at,
        )
        + member.name
    )  # fmt: skip
