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
from dmfs.fetch.curl.worker_protocol import PACKET_MAX_BYTES, Message, decode, encode, from_error

REPORT_BYTES = 512 * 1024
"""How often progress is reported that no reader waits for, so that reads need not wait. The kernel
reads a stream in pieces of that size."""


class Worker:
    """Carries out the drive's requests, in the only thread."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        packet, descriptors, _, _ = socket.recv_fds(control, PACKET_MAX_BYTES, 1)
        if not packet:
            raise EOFError
        hello = decode(packet)
        self._arena = memoryview(mmap.mmap(descriptors[0], hello["arena_bytes"]))
        os.close(descriptors[0])
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
            message = decode(packet)
            if "get" in message:
                self._get(message)
            elif "want" in message:
                self._want(message["want"], message["filled"])
            else:
                self._drop(message["drop"])

    def _get(self, message: Message) -> None:
        number, at = message["get"], message["at"]
        buffer = self._arena[at : at + message["length"]]
        request = RangeRequest(
            message["action"], message["url"], message["start"], buffer, message["total_bytes"],
            _Guard(self, number), _Reports(self, number),
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
        with contextlib.suppress(ConnectionError):
            self._control.send(encode(message))


class _Guard(ETagGuard):
    """Leaves the judgement to the drive, which gets the ETag before any byte under it."""

    def __init__(self, worker: Worker, number: int) -> None:
        super().__init__()
        self._worker = worker
        self._number = number

    def admits(self, etag: str) -> bool:
        self._worker.send({"head": self._number, "etag": etag})
        return True


class _Reports(Progress):
    """Reports to the drive when a reader waits for it, and every REPORT_BYTES."""

    __slots__ = ("_number", "_reported", "_worker")

    def __init__(self, worker: Worker, number: int) -> None:
        super().__init__()
        self._worker = worker
        self._number = number
        self._reported = 0

    def put(self, filled: int) -> bool:
        self.filled = filled
        if filled >= self.wanted or filled - self._reported >= REPORT_BYTES:
            self._report()
        return False

    def want(self, filled: int) -> None:
        self.wanted = filled
        if self.filled >= filled:
            self._report()

    def _report(self) -> None:
        if self.filled >= self.wanted:
            self.wanted = NOTHING
        self._reported = self.filled
        self._worker.send({"filled": self._number, "bytes": self.filled})


def main() -> None:
    """Serve until stdin ends."""
    with socket.socket(fileno=0) as control:
        try:
            Worker(control).run()
        except (EOFError, ConnectionError):
            return  # the drive has gone


if __name__ == "__main__":
    main()
