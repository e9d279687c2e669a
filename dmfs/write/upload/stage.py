"""The bytes of a part, read once: checked by the spool, hashed, ready for the sender.

What was written here is sent from the spool's own file: the kernel still has it in memory then, and
a byte that changes between the look and the sending shows in the ETag. What has to be read
otherwise (bytes of the base version, very many pieces) is kept in memory if the part is small, and
in a file without a name if it is large: memory does not grow with the size of a file.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import trio

from dmfs.errors import GoneError, NotFoundError, SpoolError
from dmfs.system.concurrency import computed, deadline
from dmfs.write.parts.slices import FileSlice, Slice, Zeros
from dmfs.write.records import NewVersion, Target
from dmfs.write.spool.disk import write_all
from dmfs.write.upload.pace import SMALL_BYTES, Budget
from dmfs.write.upload.plan.answers import Stop
from dmfs.write.upload.plan.part_plan import Part, PartPlan
from dmfs.write.upload.ports import ReadBase, Rules, SnapshotLike

IN_MEMORY_BYTES = 16 * 1024**2
CHUNK_BYTES = 8 * 1024**2
AT_ONCE_BYTES = 128 * 1024
"""A hash of so many bytes costs less than a thread."""
SLICES_MAX = 1024
"""Of a part that is sent from the spool's file: each of them is a read of its own."""

Keep = Callable[[bytes, int], Awaitable[None]]
"""Takes some bytes of a part, and their position in it."""


class Staged:
    """A part that can be sent, as often as needed, until it is closed."""

    def __init__(
        self,
        part: Part,
        md5: str,
        pieces: Sequence[Slice],
        give_back: Callable[[], None] = lambda: None,
    ) -> None:
        """``give_back``: what it borrowed; called once."""
        self.part, self.md5, self.pieces = part, md5, pieces
        self._give_back: Callable[[], None] | None = give_back

    def close(self) -> None:
        self.pieces = []
        give_back, self._give_back = self._give_back, None
        if give_back is not None:
            give_back()


class Stager:
    """Stages the parts of one generation. The sha1 of the whole grows with the parts that come in
    their order; parts that come again, or out of it, leave it alone."""

    def __init__(
        self,
        snapshot: SnapshotLike,
        read_base: ReadBase,
        plan: PartPlan,
        target: Target,
        rules: Rules,
        memory: Budget,
        disk: Budget,
    ) -> None:
        self._snapshot, self._read_base, self.plan = snapshot, read_base, plan
        self._number = target.base.number if isinstance(target, NewVersion) else 0
        self._rules, self._memory, self._disk = rules, memory, disk
        self._whole = hashlib.sha1(usedforsecurity=False)
        self.hashed = 0
        """Parts that are in the sha1."""
        self._descriptor: int | None = None
        """Of the spool's file, until ``close``."""

    @property
    def sha1(self) -> str:
        assert self.hashed == self.plan.count, "not all parts were read"
        return self._whole.hexdigest()

    def close(self) -> None:
        """After all parts that were staged are closed. It can be used again."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    async def skip(self, part: Part) -> None:
        """A part that the storage has: only its bytes count."""
        if part.number == self.hashed + 1:
            async with self._memory.borrow(self._memory_for(min(CHUNK_BYTES, part.length))):
                await self._digest(part, _nowhere)

    async def stage(self, part: Part) -> Staged:
        """Read a part, once there is room for it. Stop where its bytes are damaged or gone;
        OSError where there is no room to prepare it."""
        slices = await self._in_spool(part)
        if slices is not None:
            async with self._memory.borrow(self._memory_for(min(CHUNK_BYTES, part.length))):
                return Staged(part, await self._digest(part, _nowhere), slices)
        return await (
            self._in_memory(part) if part.length <= IN_MEMORY_BYTES else self._on_disk(part)
        )

    def _memory_for(self, length: int) -> int:
        """Bytes to borrow for so many."""
        return 0 if self.plan.size_bytes <= SMALL_BYTES else length

    async def _in_spool(self, part: Part) -> list[Slice] | None:
        """Where the part lies in the spool's file. None for one that is to be read otherwise, and
        for a small one: a descriptor would cost more."""
        if part.length <= SMALL_BYTES:
            return None
        pieces = self._snapshot.pieces(part.start, part.stop)
        if len(pieces) > SLICES_MAX or any(each.kind == "base" for each in pieces):
            return None
        try:
            if self._descriptor is None:
                self._descriptor = await self._snapshot.descriptor()
        except SpoolError as error:
            raise Stop(error.message) from None
        descriptor = self._descriptor
        return [
            FileSlice(descriptor, each.position, each.length)
            if each.kind == "data"
            else Zeros(each.length)
            for each in pieces
        ]

    async def _in_memory(self, part: Part) -> Staged:
        borrowed = self._memory_for(part.length)
        data: list[bytes] = []

        async def keep(some: bytes, _position: int) -> None:
            data.append(some)

        await self._memory.take(borrowed)
        try:
            md5 = await self._digest(part, keep)
        except BaseException:
            self._memory.give(borrowed)
            raise
        return Staged(part, md5, data, lambda: self._memory.give(borrowed))

    async def _on_disk(self, part: Part) -> Staged:
        # not abandoned, nor the writes below: nobody would close it, or it would be closed first
        await self._disk.take(part.length)
        descriptor = -1
        try:
            descriptor = await computed(lambda: _unnamed(self._rules.staging))

            async def keep(some: bytes, position: int) -> None:
                await computed(partial(write_all, descriptor, [some], position))

            async with self._memory.borrow(CHUNK_BYTES):
                md5 = await self._digest(part, keep)
        except BaseException:
            self._drop_file(descriptor, part)
            raise
        pieces = [FileSlice(descriptor, 0, part.length)]
        return Staged(part, md5, pieces, lambda: self._drop_file(descriptor, part))

    def _drop_file(self, descriptor: int, part: Part) -> None:
        self._disk.give(part.length)
        if descriptor >= 0:
            os.close(descriptor)

    async def _digest(self, part: Part, keep: Keep) -> str:
        """The MD5 of a part, which is read in chunks."""
        counts = part.number == self.hashed + 1
        whole, md5 = self._whole.copy(), hashlib.md5(usedforsecurity=False)
        for start in range(part.start, part.stop, CHUNK_BYTES):
            data = await self._read(start, min(start + CHUNK_BYTES, part.stop))
            await _feed(data, [md5, whole] if counts else [md5])
            await keep(data, start - part.start)
        if counts:
            self._whole, self.hashed = whole, part.number
        return md5.hexdigest()

    async def _read(self, start: int, stop: int) -> bytes:
        seconds = self._rules.part_s + (stop - start) / self._rules.line_bytes_s
        try:
            with deadline(seconds, "read what is to be uploaded"):
                data = await self._snapshot.read(start, stop, self._read_base)
        except (GoneError, NotFoundError):
            raise Stop(f"the bytes of v{self._number} are gone") from None
        except SpoolError as error:
            raise Stop(error.message) from None
        if len(data) != stop - start:
            raise Stop("the spool gives other bytes than it took")
        return data


async def _nowhere(_data: bytes, _position: int) -> None:
    pass


async def _feed(data: bytes, digests: Sequence[Any]) -> None:
    """Each in a thread of its own: MD5 takes 1.3 s for a GiB, SHA-1 half a second."""
    if len(data) <= AT_ONCE_BYTES:
        for each in digests:
            each.update(data)
        return
    async with trio.open_nursery() as nursery:
        for each in digests:
            nursery.start_soon(computed, partial(each.update, data))


def _unnamed(directory: Path) -> int:
    """A new file without a name."""
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:  # a file system without O_TMPFILE
        descriptor, name = tempfile.mkstemp(dir=directory)
        Path(name).unlink()
        return descriptor
