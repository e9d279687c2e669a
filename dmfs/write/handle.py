"""One open(2) of a file."""

from __future__ import annotations

from dmfs.blocks.cache import Data
from dmfs.blocks.reader import AnyReader
from dmfs.errors import AccessError
from dmfs.write.live import FoundIn, LiveFile


class Handle:
    """One open(2) of a live file. What it reads is what was written, by whomever."""

    def __init__(self, live: LiveFile, *, writes: bool) -> None:
        self.live = live
        self.writes = writes
        live.opened(writes=writes)
        self._reader: AnyReader | None = None
        self._wrote = False
        self._closed = False
        if writes and live.fresh:
            self.note_write()

    async def prepare(self, found_in: FoundIn | None) -> None:
        """Open the version, where nothing was written to it."""
        if self.live.content is None and self._reader is None:
            self._reader = await self.live.reader(found_in)

    @property
    def size_bytes(self) -> int:
        if self.live.content is None and self._reader is not None:
            return self._reader.size_bytes
        return self.live.size_bytes

    @property
    def keep_cache(self) -> bool:
        return self._reader is None or self._reader.keep_cache

    @property
    def direct_io(self) -> bool:
        return self._reader is not None and self._reader.direct_io

    def read_now(self, offset: int, length: int) -> Data | None:
        """What is at hand of a version that nobody has written to."""
        if self.live.content is None and self._reader is not None:
            return self._reader.read_now(offset, length)
        return None

    async def read(self, offset: int, length: int, until: int = 0) -> tuple[Data, bool]:
        """What was written, by whomever; see ``AnyReader``."""
        content = self.live.content
        if content is not None:
            return await content.read(offset, length, self.live.read_base), True
        await self.prepare(None)
        assert self._reader is not None
        return await self._reader.read(offset, length, until)

    async def write(self, offset: int, data: Data) -> None:
        """As ``LiveFile.write``; AccessError if it was opened for reading alone."""
        if not self.writes:
            raise AccessError("the file was not opened for writing")
        self.note_write()
        await self.live.write(offset, data)

    def write_now(self, offset: int, data: bytes) -> bool:
        """As ``LiveFile.write_now``."""
        if not (self.writes and self.live.write_now(offset, data)):
            return False
        self.note_write()
        return True

    def note_write(self) -> None:
        """Its file is unfinished until it is closed."""
        if not self._wrote:
            self._wrote = True
            self.live.unfinished += 1

    async def truncate(self, size_bytes: int) -> None:
        """As ``LiveFile.truncate``; AccessError as above."""
        if not self.writes:
            raise AccessError("the file was not opened for writing")
        self.note_write()
        await self.live.truncate(size_bytes)

    @property
    def has_news(self) -> bool:
        """Whether this handle may have written something that is not safe yet."""
        return self.writes and self.live.is_dirty

    async def confirm(self, *, stays_open: bool = False) -> None:
        """As close(2) and fsync(2). A handle that only reads has nothing to confirm."""
        if self.writes:
            await self.live.confirm(stays_open=stays_open)

    def close(self) -> None:
        """Once; what it wrote is confirmed before, or lost."""
        if not self._closed:
            self._closed = True
            if self._reader is not None:
                self._reader.close()
            self.live.closed(writes=self.writes, wrote=self._wrote)
