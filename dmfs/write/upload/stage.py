"""The bytes of a part, read once: checked by the spool, hashed, ready for the sender.

A small part is in memory. A large one is copied to a file without a name, so that memory does not
grow with the size of a file.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from dmfs.errors import GoneError, NotFoundError, SpoolError
from dmfs.system.concurrency import computed, deadline
from dmfs.write.parts.slices import FileSlice, Slice
from dmfs.write.records import NewVersion, Target
from dmfs.write.upload.pace import SMALL_BYTES, Budget
from dmfs.write.upload.plan.answers import Stop
from dmfs.write.upload.plan.part_plan import Part, PartPlan
from dmfs.write.upload.ports import ReadBase, Rules, SnapshotLike

IN_MEMORY_BYTES = 16 * 1024**2
CHUNK_BYTES = 8 * 1024**2
AT_ONCE_BYTES = 128 * 1024
"""A hash of so many bytes costs less than a thread."""


class Staged:
    """A part that can be sent, as often as needed, until it is closed."""

    def __init__(self, part: Part, md5: str, data: bytes | None, descriptor: int | None) -> None:
        self.part, self.md5 = part, md5
        self._data, self._descriptor = data, descriptor

    @property
    def pieces(self) -> list[Slice]:
        if self._descriptor is not None:
            return [FileSlice(self._descriptor, 0, self.part.length)]
        return [self._data] if self._data else []

    def close(self) -> None:
        self._data = None
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


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

    @property
    def sha1(self) -> str:
        assert self.hashed == self.plan.count, "not all parts were read"
        return self._whole.hexdigest()

    def needs_memory(self, part: Part) -> int:
        """Bytes to borrow for a part before it is staged, until it is closed."""
        if self.plan.size_bytes <= SMALL_BYTES:
            return 0
        return part.length if part.length <= IN_MEMORY_BYTES else CHUNK_BYTES

    async def take(self, part: Part) -> None:
        """Borrow what the part needs."""
        await self._memory.take(self.needs_memory(part))
        if part.length > IN_MEMORY_BYTES:
            try:
                await self._disk.take(part.length)
            except BaseException:
                self._memory.give(self.needs_memory(part))
                raise

    def give(self, part: Part) -> None:
        """Give it back."""
        self._memory.give(self.needs_memory(part))
        if part.length > IN_MEMORY_BYTES:
            self._disk.give(part.length)

    async def skip(self, part: Part) -> None:
        """A part that the storage has: only its bytes count."""
        if part.number != self.hashed + 1:
            return
        async with self._memory.borrow(min(CHUNK_BYTES, self.needs_memory(part))):
            whole = self._whole.copy()
            for start in range(part.start, part.stop, CHUNK_BYTES):
                data = await self._read(start, min(start + CHUNK_BYTES, part.stop))
                await _hash(data, whole.update)
        self._whole, self.hashed = whole, part.number

    async def stage(self, part: Part) -> Staged:
        """Read a part, with what ``take`` borrowed. Stop where its bytes are damaged or gone;
        OSError where there is no room to prepare it."""
        counts = part.number == self.hashed + 1
        whole = self._whole.copy()
        md5 = hashlib.md5(usedforsecurity=False)

        def digest(data: bytes) -> None:
            md5.update(data)
            if counts:
                whole.update(data)

        data: bytes | None = None
        descriptor: int | None = None
        if part.length <= IN_MEMORY_BYTES:
            data = await self._read(part.start, part.stop) if part.length else b""
            await _hash(data, digest)
        else:
            # not abandoned either: nobody would close it
            descriptor = await computed(lambda: _unnamed(self._rules.staging))
            try:
                await self._copy(part, descriptor, digest)
            except BaseException:
                os.close(descriptor)
                raise
        if counts:
            self._whole, self.hashed = whole, part.number
        return Staged(part, md5.hexdigest(), data, descriptor)

    async def _copy(self, part: Part, descriptor: int, digest: Callable[[bytes], None]) -> None:
        for start in range(part.start, part.stop, CHUNK_BYTES):
            data = await self._read(start, min(start + CHUNK_BYTES, part.stop))

            def store(data: bytes = data, position: int = start - part.start) -> None:
                digest(data)
                _write_all(descriptor, data, position)

            # not abandoned: the descriptor must not be closed under it
            await computed(store)

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


async def _hash(data: bytes, digest: Callable[[bytes], None]) -> None:
    if len(data) <= AT_ONCE_BYTES:
        digest(data)
    else:
        await computed(lambda: digest(data))


def _unnamed(directory: Path) -> int:
    """A new file without a name."""
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:  # a file system without O_TMPFILE
        descriptor, name = tempfile.mkstemp(dir=directory)
        Path(name).unlink()
        return descriptor


def _write_all(descriptor: int, data: bytes, position: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(descriptor, view, position)
        view, position = view[count:], position + count
