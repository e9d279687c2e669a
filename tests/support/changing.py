"""A made-up storage of objects whose bytes and ETags may change, for caches of unit tests."""

from __future__ import annotations

import itertools
import random
from functools import cache

import trio

from dmfs.errors import ETagDiffersError
from dmfs.fetch.curl.transfer import RangeRequest
from dmfs.model import File, SignedObject, SignedRange
from tests.support.helpers import truth


@cache
def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


class ChangingStorage:
    """Signs objects (whole, or in two parts) and serves them. Content 0 is ``truth``."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.content = 0
        self.in_parts = False
        self.odd_gets = 0
        """So many of the next GETs meet an odd node: another ETag and other bytes."""
        self.ranges: list[tuple[int, int]] = []

    def bytes(self, content: int | None = None) -> bytes:
        content = self.content if content is None else content
        return truth(0, self.size) if content == 0 else noise(content, self.size)

    async def sign(self, file: File) -> SignedObject:
        await trio.lowlevel.checkpoint()
        edges = (0, self.size * 2 // 5, self.size) if self.in_parts else (0, self.size)
        parts = tuple(
            SignedRange(start, stop, f"https://cdn/{start}-{stop}")
            for start, stop in itertools.pairwise(edges)
        )
        return SignedObject(self.size, "", parts, trio.current_time() + 3600)

    async def fetch(self, get: RangeRequest) -> None:
        await trio.lowlevel.checkpoint()
        base, _, _ = get.url.removeprefix("https://cdn/").partition("-")
        content = self.content
        if self.odd_gets:
            self.odd_gets -= 1
            content = -1
        if not get.guard.admits(f'"{content} {get.url}"'):
            raise ETagDiffersError(f"cannot {get.action}: another ETag")
        start = int(base) + get.start
        stop = start + len(get.buffer)
        self.ranges.append((start, stop))
        get.buffer[:] = self.bytes(content)[start:stop]
        get.progress.put(len(get.buffer))
        get.progress.wake()
