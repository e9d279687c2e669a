"""Bodies of uploads: paced as a link would bring them, and written down as they come."""

from __future__ import annotations

import hashlib

import h11
import trio

from dmfs.emulator.http.delivery import ConnectionBroken, Stream, reset_connection
from dmfs.emulator.http.messages import Received, Request
from dmfs.emulator.server.emulator import Emulator
from dmfs.emulator.server.faults import BODY_KINDS, Call, Fault
from dmfs.emulator.server.handler import log_entry
from dmfs.emulator.writing.part_file import Stored


class Receiver:
    """One body of a known length, which a fault may interrupt or corrupt."""

    def __init__(self, emulator: Emulator, stream: Stream, head: h11.Request, length: int) -> None:
        self._emulator, self._stream, self._head, self._length = emulator, stream, head, length
        self._file = emulator.service.writing.uploads.file
        self._position = self._file.reserve(length)
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._began = trio.current_time()
        self.received_bytes = 0
        call = Call("cdn", "cdn_put", 0, head.target.decode("latin-1"))
        self._fault: Fault | None = emulator.faults.pick(call, BODY_KINDS)

    async def take(self, data: bytes) -> None:
        """The next bytes of it. ConnectionBroken by a fault."""
        self._file.write(self._position + self.received_bytes, data)
        self._md5.update(data)
        self.received_bytes += len(data)
        carry = self._emulator.carry
        if carry is not None:
            await carry(len(data))
        rate = self._emulator.settings.cdn_put_bytes_per_s
        if rate:
            await trio.sleep_until(self._began + self.received_bytes / rate)
        if self._fault is not None:
            await self._spoil(self._fault)

    async def _spoil(self, fault: Fault) -> None:
        """Once ``after_bytes`` (default half of it) have come in."""
        if self.received_bytes < int(fault.params.get("after_bytes", self._length // 2)):
            return
        self._fault = None
        if fault.kind == "stall_mid_upload":
            seconds = fault.params.get("seconds")
            await trio.sleep(float("inf") if seconds is None else float(seconds))
            return
        target = self._head.target.decode("latin-1")
        entry = log_entry(Request("cdn", "PUT", target, {}, b""), "cdn_put")
        entry["fault"] = fault.kind
        self._emulator.calls.begin(entry)
        reset_connection(self._stream)
        raise ConnectionBroken

    def done(self) -> Received:
        content = Stored(self._file, [(self._position, self.received_bytes)])
        return Received(content, self._md5.hexdigest())
