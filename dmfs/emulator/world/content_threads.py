"""Work on many bytes, in threads: the loop must go on answering, and ending must be prompt."""

from __future__ import annotations

import hashlib
from functools import partial

import trio

from dmfs.emulator.world.content import Content, hex_digest, read
from dmfs.emulator.world.content import feed as content_feed

# Abandoned on cancellation: hashing 5 GiB takes seconds, and SIGTERM does not wait for it.
_run = partial(trio.to_thread.run_sync, abandon_on_cancel=True)


async def digest(content: Content, algorithm: str) -> str:
    """The hex digest of all bytes."""
    return await _run(hex_digest, content, algorithm)


async def feed(content: Content, into: hashlib._Hash) -> None:
    """All bytes to a hash."""
    await _run(content_feed, content, into)


async def prepare(content: Content) -> None:
    """Have ready what the first byte needs (a big zip computes its CRCs)."""
    if not content.is_ready:
        await _run(read, content, 0, 1)
