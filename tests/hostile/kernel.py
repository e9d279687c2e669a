"""What stands between programs and the drive, for the model at its virtual height: pages that are
kept (``mmap``), and positions in directories that were opened (``seekdir``).

The directories go through the real ``fuse.Operations``; only the replies' own buffers are ours.
"""

from __future__ import annotations

import itertools
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pyfuse3

from dmfs.blocks.cache import BlockCache
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.fuse.attributes import Ownership
from dmfs.fuse.operations import Operations
from dmfs.model import Directory, File, Folder, Listing
from dmfs.namespace.listings import Listings
from tests.support.made_drives import a_drive

PAGE_BYTES = 4096
CLUSTER_PAGES = 32
"""A page fault reads the 128 KiB around it."""
PAGES_MAX = 4000
OPEN_DIRECTORIES = 8


@dataclass
class Buffer:
    """A readdir reply with room for so many entries."""

    room: int
    rows: list[tuple[bytes, int, int]] = field(default_factory=list)


def _reply(buffer: Buffer, name: bytes, entry: Any, next_id: int) -> bool:
    if len(buffer.rows) >= buffer.room:
        return False
    buffer.rows.append((name, entry.st_ino, next_id))
    return True


@contextmanager
def replies_of_ours() -> Iterator[None]:
    """No session, so neither reply buffers nor anybody to be told of changes."""
    real = {name: getattr(pyfuse3, name) for name in ("readdir_reply", "invalidate_entry_async")}
    module: Any = pyfuse3  # the one that dmfs.fuse knows
    module.readdir_reply = _reply
    module.invalidate_entry_async = lambda *_args, **_more: None
    try:
        yield
    finally:
        for name, value in real.items():
            setattr(module, name, value)


class Kernel:
    """Open directories, and the page cache."""

    def __init__(
        self, listings: Listings, blocks: BlockCache, sizes: ObjectSizes, root: Directory,
        check: Callable[[Listing], None],
    ) -> None:  # fmt: skip
        drive = a_drive(listings=listings, blocks=blocks, sizes=sizes)
        self._operations = Operations(drive, root, Ownership(0, 0))
        self._check = check
        self._directories: dict[int, list[bytes]] = {}
        self._pages: dict[tuple[str, int], bytes] = {}
        self.seeks = self.faults = 0

    # Directories

    async def opendir(self, choice: int) -> None:
        """Any directory that was met so far; its listing must be one that was true. OSError."""
        rows = self._operations._inodes._rows
        numbers = sorted(n for n, row in rows.items() if isinstance(row.node, Folder))
        try:
            handle = await self._operations.opendir(numbers[choice % len(numbers)], None)
        except pyfuse3.FUSEError as error:
            raise OSError(error.errno, "opendir") from None
        listing = self._operations._directories[handle][1]
        self._check(listing)
        self._directories[handle] = [b".", b"..", *(name.encode() for name in listing.names)]
        if len(self._directories) > OPEN_DIRECTORIES:
            await self.closedir(0)

    async def readdir(self, choice: int, position: int, room: int) -> None:
        """From any position: what the directory held when it was opened, in the same order."""
        if not self._directories:
            return
        handle = sorted(self._directories)[choice % len(self._directories)]
        names = self._directories[handle]
        start = position % (len(names) + 2)  # a little beyond the end is the end
        buffer = Buffer(1 + room)
        await self._operations.readdir(handle, start, buffer)
        expected = names[start : start + 1 + room]
        assert [name for name, _, _ in buffer.rows] == expected
        assert [next_id for _, _, next_id in buffer.rows] == [
            start + 1 + index for index in range(len(expected))
        ]
        self.seeks += 1

    async def closedir(self, choice: int) -> None:
        for handle in sorted(self._directories)[choice % max(1, len(self._directories)) :][:1]:
            del self._directories[handle]
            await self._operations.releasedir(handle)

    async def forget(self) -> None:
        """Memory is short: let go of everything that no open directory needs."""
        held = {inode for inode, *_ in self._operations._directories.values()}
        tree = self._operations._inodes
        await self._operations.forget(
            [(n, row.lookups) for n, row in tree._rows.items() if n not in held and n != 1]
        )
        self._pages.clear()

    async def close(self) -> None:
        """Everything is given back: nothing but the root is held."""
        for _ in range(len(self._directories)):
            await self.closedir(0)
        await self.forget()
        assert len(self._operations._inodes) == 1
        assert not self._operations._directories

    # Pages

    def opened(self, file: File, *, keep_cache: bool) -> None:
        """As the reply to an open tells."""
        if not keep_cache:
            for key in [key for key in self._pages if key[0] == file.storage_id]:
                del self._pages[key]

    async def touch(
        self, file: File, offset: int, read: Callable[[int, int], Awaitable[bytes | None]]
    ) -> bytes | None:
        """The page around an offset of a mapped file; ``read`` fetches what is not kept. None for
        the SIGBUS of a failed read."""
        number = offset // PAGE_BYTES
        page = self._pages.get((file.storage_id, number))
        if page is None:
            self.faults += 1
            first = number - number % CLUSTER_PAGES
            data = await read(first * PAGE_BYTES, CLUSTER_PAGES * PAGE_BYTES)
            if data is None:
                return None
            for index in itertools.count():
                piece = data[index * PAGE_BYTES : (index + 1) * PAGE_BYTES]
                if not piece:
                    break
                self._pages[file.storage_id, first + index] = piece
            page = self._pages.get((file.storage_id, number), b"")
        while len(self._pages) > PAGES_MAX:
            del self._pages[next(iter(self._pages))]
        return page
