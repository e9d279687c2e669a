"""Files of which all is on this machine, and opens that fetch nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.extents import CachedObject
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.blocks.reader import Reader
from dmfs.errors import AccessError, DriveError
from dmfs.model import File
from dmfs.spans import Span, block_count, blocks_of, bytes_of

_alone: ContextVar[bool] = ContextVar("cache_alone", default=False)


@contextmanager
def from_cache_alone() -> Iterator[None]:
    """What the body opens of the drive is read without a call of the service, or not at all."""
    token = _alone.set(True)
    try:
        yield
    finally:
        _alone.reset(token)


def is_cache_alone() -> bool:
    """Whether the current task may open nothing but what is cached."""
    return _alone.get()


async def is_at_hand(blocks: BlockCache, sizes: ObjectSizes, file: File) -> bool:
    """Whether all bytes of a version are on this machine. No call; one thread hop."""
    if not sizes.is_known(file):
        return False
    size_bytes = sizes.of(file)
    if not size_bytes:
        return True
    known = blocks.attached(file.storage_id)
    if known is not None and _is_whole(known, size_bytes):
        return True
    try:
        found = (await blocks.disk.at_rest([file.storage_id])).get(file.storage_id)
    except DriveError:
        return False
    return found is not None and found.whole and found.size_bytes == size_bytes


def _is_whole(known: CachedObject, size_bytes: int) -> bool:
    """In memory or at rest, block by block."""
    if known.detached or known.size_bytes != size_bytes:
        return False
    for number in range(block_count(size_bytes)):
        if not known.on_disk(number):
            extent = known.extents.get(number)
            block = bytes_of(Span(number, number + 1), size_bytes)
            if extent is None or not extent.has(block):
                return False
    return True


async def open_at_hand(
    file: File, blocks: BlockCache, sizes: ObjectSizes, max_window: int
) -> Reader:
    """A reader of what is cached. What is not there any more when it is read is AccessError."""

    async def refuse() -> int:
        raise AccessError(f"cannot read {file.name!r}: it is not in the cache any more")

    opened = await blocks.open(file, sizes.of(file))
    at_rest = all(map(opened.on_disk, range(*blocks_of(Span(0, opened.size_bytes)))))
    # of bytes that are in memory alone nothing is read ahead: they may go, and would be fetched
    return Reader(file, opened, blocks, max_window if at_rest else 0, ask_size=refuse)
