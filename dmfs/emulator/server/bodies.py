"""Bodies of uploads: paced as a link would bring them, and written down as they come."""

from __future__ import annotations

import hashlib

import trio

from dmfs.emulator.http.messages import Received
from dmfs.emulator.settings import Settings
from dmfs.emulator.writing.part_file import PartFile, Stored


class Receiver:
    """One body of a known length."""

    def __init__(self, file: PartFile, settings: Settings, length: int) -> None:
        self._file, self._settings, self._length = file, settings, length
        self._position = file.reserve(length)
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._began = trio.current_time()
        self._received_bytes = 0

    async def take(self, data: bytes) -> None:
        """The next bytes of it."""
        self._file.write(self._position + self._received_bytes, data)
        self._md5.update(data)
        self._received_bytes += len(data)
        rate = self._settings.cdn_put_bytes_per_s
        if rate:
            await trio.sleep_until(self._began + self._received_bytes / rate)

    def done(self) -> Received:
        content = Stored(self._file, [(self._position, self._received_bytes)])
        return Received(content, self._md5.hexdigest())
