"""A sender beside a storage, and parts to send."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from dmfs.http.tls import ca_bundle
from dmfs.write.parts.put import PutRequest
from dmfs.write.parts.slices import FileSlice, Slice, Zeros
from dmfs.write.parts.thread_sender import ThreadSender
from tests.write.parts.storage import Storage, open_storage

MIB = 1024 * 1024


@asynccontextmanager
async def sending(connections: int = 4, **more: Any) -> AsyncIterator[tuple[ThreadSender, Storage]]:
    sender = ThreadSender(ca_bundle=ca_bundle(""), connections=connections, **more)
    sender.start()
    try:
        async with open_storage() as storage:
            with trio.fail_after(20):
                yield sender, storage
    finally:
        sender.close()


def part(url: str, *pieces: Slice, **more: Any) -> PutRequest:
    length = sum(p.length if isinstance(p, FileSlice | Zeros) else len(p) for p in pieces)
    return PutRequest(url, pieces, length, "save 'a.dwg'", **more)
