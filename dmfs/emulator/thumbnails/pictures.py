"""Pictures as a pure function of a version's id: a coloured card, a simple shape, the version's
number. Rows are joined from runs of one colour: 200 pictures take a fraction of a second.
"""

from __future__ import annotations

import base64
import re
import struct
import zlib
from collections.abc import Callable, Iterator

from dmfs.emulator.world import ids

Colour = tuple[int, int, int]
Run = tuple[float, float]
"""From and to, as parts of the width."""

SIZES = (100, 200, 400)
CARDS: tuple[Colour, ...] = (
    (214, 69, 65), (235, 149, 50), (38, 166, 91), (25, 118, 210),
    (126, 87, 194), (0, 150, 136), (216, 27, 96), (109, 76, 65),
)  # fmt: skip
"""A file has the same one in all its versions."""
INK: Colour = (255, 255, 255)
EDGE: Colour = (48, 48, 48)
_EDGE_PART = 0.03
_FONT = (
    "111101101101111", "010110010010111", "111001111100111", "111001111001111", "101101111001001",
    "111100111001111", "111100111101111", "111001001010010", "111101111101111", "111101111001111",
)  # fmt: skip
"""Five rows of three dots for each digit."""
_DOT = 0.03
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAFA3PEY8MlBGQUZaVVBfeMiCeG5uePWvuZHI////////////////////////"
    "////////////////////////////wAALCAAIAAgBAREA/8QAFAABAAAAAAAAAAAAAAAAAAAAAP/EABQQAQAAAAAAAAAA"
    "AAAAAAAAAAD/2gAIAQEAAD8AP//Z"
)


def _house(y: float) -> Iterator[Run]:
    if 0.2 <= y < 0.45:
        yield 0.5 - (y - 0.2), 0.5 + (y - 0.2)
    elif 0.45 <= y < 0.75:
        yield 0.32, 0.68


def _disc(y: float) -> Iterator[Run]:
    inside = 0.28**2 - (y - 0.48) ** 2
    if inside > 0:
        yield 0.5 - inside**0.5, 0.5 + inside**0.5


def _towers(y: float) -> Iterator[Run]:
    for left, top in ((0.22, 0.45), (0.42, 0.2), (0.62, 0.35)):
        if top <= y < 0.75:
            yield left, left + 0.15


def _cross(y: float) -> Iterator[Run]:
    if 0.2 <= y < 0.75:
        yield (0.2, 0.8) if 0.4 <= y < 0.56 else (0.42, 0.58)


def _diamond(y: float) -> Iterator[Run]:
    half = 0.3 - abs(y - 0.48)
    if half > 0:
        yield 0.5 - half, 0.5 + half


_SHAPES: tuple[Callable[[float], Iterator[Run]], ...] = (_house, _disc, _towers, _cross, _diamond)


def png(version_id: str, size: int) -> bytes:
    """A square PNG of ``size`` pixels (a kilobyte or two). It names the version in a text chunk."""
    item, _, number = version_id.partition("?version=")
    item_hash, own = ids.digest(item), ids.digest(version_id)
    card = _toned(CARDS[item_hash[0] % len(CARDS)], own[0])
    shape = _SHAPES[item_hash[1] % len(_SHAPES)]
    rows = bytearray()
    for row in range(size):
        y = (row + 0.5) / size
        runs = [*shape(y), *_number_runs(number, y)]
        rows += b"\0" + _row(size, y, card, runs)
    name = _chunk(b"tEXt", b"Title\0" + version_id.encode("utf-8", "surrogatepass"))
    return _wrapped(size, bytes(rows), name)


def heavy_png(version_id: str, size: int, extra_bytes: int = 0) -> bytes:
    """One that does not compress (size² · 3 bytes), with so many more in a chunk of its own."""
    noise = bytearray()
    for row in range(size):
        stream = b"".join(
            ids.digest(f"{version_id} {row} {part}") for part in range(-(-3 * size // 32))
        )
        noise += b"\0" + stream[: 3 * size]
    padding = _chunk(b"dmFs", b"x" * extra_bytes) if extra_bytes else b""
    return _wrapped(size, bytes(noise), padding)


def jpeg() -> bytes:
    """A grey JPEG of 8 by 8 pixels."""
    return _JPEG


def _toned(card: Colour, chance: int) -> Colour:
    """A little lighter or darker: each version differs from the one before it."""
    by = chance % 25 - 12
    red, green, blue = (min(255, max(0, value + by)) for value in card)
    return red, green, blue


def _number_runs(number: str, y: float) -> Iterator[Run]:
    """The version's number, at the lower right."""
    line = int((y - 0.8) / _DOT)
    digits = re.sub(r"[^0-9]", "", number)[-4:]
    if y < 0.8 or line >= 5:
        return
    left = 0.94 - len(digits) * 4 * _DOT
    for digit in digits:
        for column, dot in enumerate(_FONT[int(digit)][line * 3 : line * 3 + 3]):
            if dot == "1":
                yield left + column * _DOT, left + (column + 1) * _DOT
        left += 4 * _DOT


def _row(size: int, y: float, card: Colour, runs: list[Run]) -> bytes:
    if not _EDGE_PART <= y < 1 - _EDGE_PART:
        return bytes(EDGE) * size
    edge = max(1, int(size * _EDGE_PART))
    row = bytearray(bytes(EDGE) * edge + bytes(card) * (size - 2 * edge) + bytes(EDGE) * edge)
    for left, right in runs:
        start, stop = int(left * size), int(right * size)
        row[3 * start : 3 * stop] = bytes(INK) * (stop - start)
    return bytes(row)


def _wrapped(size: int, rows: bytes, more: bytes = b"") -> bytes:
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    data = _chunk(b"IDAT", zlib.compress(rows, 6))
    return _SIGNATURE + _chunk(b"IHDR", header) + more + data + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
