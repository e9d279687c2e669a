"""What is handed out as a PNG is one, from its first byte to its last."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.emulator.thumbnails.pictures import heavy_png, jpeg, png
from dmfs.thumbnails.png import VALUE_MAX_BYTES, is_whole_png

GOOD = png("urn:adsk.wipprod:fs.file:vf.x?version=3", 100)


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def header(width: int, height: int) -> bytes:
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))


def test_whole_ones():
    assert is_whole_png(GOOD)
    assert is_whole_png(png("x", 400))
    assert is_whole_png(heavy_png("x", 100))


@given(st.integers(0, len(GOOD) - 1))
def test_the_beginning_of_one_is_none(length: int):
    assert not is_whole_png(GOOD[:length])


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_one_with_another_byte_is_none(at: int, flip: int):
    damaged = bytearray(GOOD)
    damaged[at] ^= flip
    assert not is_whole_png(bytes(damaged))


@given(st.binary(max_size=200))
def test_anything_else_is_none(data: bytes):
    assert not is_whole_png(data)
    assert not is_whole_png(GOOD[:8] + data)


@pytest.mark.parametrize(
    "data",
    [
        jpeg(),
        b"<html></html>",
        GOOD + b"\0",
        heavy_png("x", 200),
        GOOD[:8] + header(100, 100) + chunk(b"IEND", b""),
        GOOD[:8] + chunk(b"IEND", b""),
        GOOD.replace(GOOD[8:33], header(0, 100)),
        GOOD.replace(GOOD[8:33], header(100, 1 << 30)),
        GOOD[:8] + GOOD[33:],
    ],
)
def test_near_misses(data: bytes):
    assert not is_whole_png(data)


def test_the_limit_is_that_of_an_attribute():
    def padded(length: int) -> bytes:
        rest = length - len(GOOD) - 12
        return GOOD[:33] + chunk(b"dmFs", b"x" * rest) + GOOD[33:]

    assert VALUE_MAX_BYTES == 65_536
    assert is_whole_png(padded(VALUE_MAX_BYTES))
    assert not is_whole_png(padded(VALUE_MAX_BYTES + 1))
