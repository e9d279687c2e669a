"""Whether bytes are a PNG that can be handed out. Pure."""

from __future__ import annotations

import struct
import zlib

VALUE_MAX_BYTES = 65_536
"""The kernel's limit of an extended attribute."""
SIDE_MAX = 4096
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHUNK_BYTES = 12
"""Of a chunk without its data: length, name, check sum."""


def is_whole_png(data: bytes) -> bool:
    """Whether it begins, ends and adds up as a PNG, and an attribute can hold it. What is in the
    compressed rows is the decoder's business."""
    if len(data) > VALUE_MAX_BYTES or not data.startswith(_SIGNATURE):
        return False
    at, kinds = len(_SIGNATURE), list[bytes]()
    while at + _CHUNK_BYTES <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + _CHUNK_BYTES + length
        if end > len(data) or zlib.crc32(data[at + 4 : end - 4]) != _number(data, end - 4):
            return False
        if not kinds and not _is_header(kind, data[at + 8 : end - 4]):
            return False
        kinds.append(kind)
        at = end
        if kind == b"IEND":
            break
    return at == len(data) and kinds[-1:] == [b"IEND"] and b"IDAT" in kinds


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _is_header(kind: bytes, data: bytes) -> bool:
    if kind != b"IHDR" or len(data) != 13:
        return False
    width, height = _number(data, 0), _number(data, 4)
    return 0 < width <= SIDE_MAX and 0 < height <= SIDE_MAX
