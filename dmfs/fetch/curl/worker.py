"""The fetching process: ranged GETs straight into memory that it shares with the drive.

``python -m dmfs.fetch.curl.worker`` with a socket for stdin; the messages are those of
``worker_protocol``. A process, since libcurl's callbacks need an interpreter lock for every chunk,
and in the drive that is the lock of the loop that answers the kernel. It opens no file, stores
nothing, and ends when its socket does: it cannot outlive its drive.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket

from dmfs.fetch.curl.progress import NOTHING, Progress
from dmfs.fetch.curl.transfer import ETagGuard, RangeRequest, Transfer
from dmfs.fetch.curl.transfers import Transfers
from dmfs.fetch.curl.worker_protocol import (
    PACKET_MAX_BYTES,
    Message,
    decode,
    decode_wish,
    encode,
    encode_wish,
    from_error,
)
from dmfs.system.shared_memory import MemoryFence, SharedNumbers


class Worker:
    """Carries out the drive's requests, in the only thread."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        packet, descriptors, _, _ = socket.recv_fds(control, PACKET_MAX_BYTES, 2)
        if not packet:
            raise EOFError
        hello = decode(packet)
        self._arena = memoryview(mmap.mmap(descriptors[0], hello["arena_bytes"]))
        os.close(descriptors[0])
        numbers = SharedNumbers(hello["slots"], descriptors[1])
        numbers.close()
        self.positions = numbers.values
        self.fence = MemoryFence()
        self._loop = Transfers(
            hello["ca_bundle"], hello["connections"], control,
            stall_timeout_s=hello["stall_timeout_s"],
        )  # fmt: skip
        self._transfers: dict[int, Transfer] = {}

    def run(self) -> None:
        """Serve until the drive has gone; EOFError or ConnectionError then."""
        self.send({"ready": True})
        while True:
            if self._loop.wait():
                self._listen()

    def _listen(self) -> None:
        while True:
            try:
                packet = self._control.recv(PACKET_MAX_BYTES, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            if not packet:
                raise EOFError
            wish = decode_wish(packet)
            if wish is not None:
                self._want(*wish)
                continue
            message = decode(packet)
            if "get" in message:
                self._get(message)
            else:
                self._drop(message["drop"])

    def _get(self, message: Message) -> None:
        number, at = message["get"], message["at"]
        buffer = self._arena[at : at + message["length"]]
        request = RangeRequest(
            message["action"], message["url"], message["start"], buffer, message["total_bytes"],
            _Guard(self, number), Position(self, number, message["slot"]),
        )  # fmt: skip
        transfer = Transfer(request, lambda _: None, lambda ended: self._ended(number, ended))
        self._transfers[number] = transfer
        self._loop.add(transfer)

    def _want(self, number: int, filled: int) -> None:
        transfer = self._transfers.get(number)
        if transfer is not None:
            transfer.request.progress.want(filled)

    def _drop(self, number: int) -> None:
        transfer = self._transfers.get(number)
        if transfer is not None:
            transfer.cancelled = True
            self._loop.drop(transfer)
            self._ended(number, transfer)

    def _ended(self, number: int, transfer: Transfer) -> None:
        if self._transfers.pop(number, None) is not None:
            error = from_error(transfer.error)
            self.send({"end": number, "filled": transfer.filled, "error": error})

    def send(self, message: Message) -> None:
        """Wait while the drive has too much to read. That the drive has gone is found by
        ``_listen``: an error in one of libcurl's callbacks would only be printed."""
        self.send_packet(encode(message))

    def send_packet(self, packet: bytes) -> None:
        """The same for an encoded message."""
        with contextlib.suppress(ConnectionError):
            self._control.send(packet)


class _Guard(ETagGuard):
    """Leaves the judgement to the drive, which gets the ETag before any byte under it."""

    def __init__(self, worker: Worker, number: int) -> None:
        super().__init__()
        self._worker = worker
        self._number = number

    def admits(self, etag: str) -> bool:
        self._worker.send({"head": self._number, "etag": etag})
        return True


class Position(Progress):
    """Writes down how far a transfer has come, and tells the drive when a reader waits for that."""

    __slots__ = ("_number", "_order", "_positions", "_slot", "_worker")

    def __init__(self, worker: Worker, number: int, slot: int) -> None:
        super().__init__()
        self._worker = worker
        self._number = number
        self._positions, self._slot = worker.positions, slot
        self._order = worker.fence.order

    def put(self, filled: int) -> bool:
        self.filled = filled
        self._order()  # the bytes first
        self._positions[self._slot] = filled
        if filled >= self.wanted:
            self._met()
        return False

    def want(self, filled: int) -> None:
        self.wanted = filled
        if self.filled >= filled:
            self._met()

    def _met(self) -> None:
        self.wanted = NOTHING
        self._worker.send_packet(encode_wish(self._number, self.filled))


def main() -> None:
    """Serve until stdin ends."""
    with socket.socket(fileno=0) as control:
        try:
            Worker(control).run()
        except (EOFError, ConnectionError):
            return  # the drive has gone


if __name__ == "__main__":
    main()
