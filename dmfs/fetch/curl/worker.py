"""The fetching process: ranged GETs straight into memory that it shares with the drive. Floor 1.

``python -m dmfs.rangeworker`` with a socket for stdin; see ``rangewire.py`` for what is said over
it. A process, since libcurl's callbacks need an interpreter lock for every chunk, and in the drive
that is the lock of the loop that answers the kernel. It opens no file, keeps nothing, and ends when
its socket does: it cannot outlive its drive.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket

from dmfs.fetch.curl.progress import NOBODY, Progress
from dmfs.fetch.curl.transfer import ETagGuard, RangeRequest, Transfer
from dmfs.fetch.curl.transfers import Transfers
from dmfs.fetch.curl.worker_protocol import PACKET_MAX_BYTES, Message, decode, encode, from_error

TELL_BYTES = 512 * 1024
"""How often progress is told that nobody waits for: it answers reads before they have to wait. The
kernel reads a stream in pieces of that size."""


class Worker:
    """Carries out what the drive asks for, in the only thread."""

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
        """Until the drive has gone."""
        self.say({"ready": True})
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

    def _get(self, asked: Message) -> None:
        number, at = asked["get"], asked["at"]
        sink = self._arena[at : at + asked["length"]]
        guard, progress = _Guard(self, number), _Telling(self, number)
        get = RangeRequest(
            asked["what"], asked["url"], asked["start"], sink, asked["total_bytes"], guard, progress
        )
        transfer = Transfer(get, lambda _: None, lambda ended: self._ended(number, ended))
        self._transfers[number] = transfer
        self._loop.add(transfer)

    def _want(self, number: int, filled: int) -> None:
        transfer = self._transfers.get(number)
        if transfer is not None:
            transfer.get.progress.want(filled)

    def _drop(self, number: int) -> None:
        transfer = self._transfers.get(number)
        if transfer is not None:
            transfer.cancelled = True
            self._loop.drop(transfer)
            self._ended(number, transfer)

    def _ended(self, number: int, transfer: Transfer) -> None:
        if self._transfers.pop(number, None) is not None:
            error = from_error(transfer.error)
            self.say({"end": number, "filled": transfer.filled, "error": error})

    def say(self, message: Message) -> None:
        """Waits while the drive has too much to read. Once it has gone nobody listens, and
        ``_listen`` finds out: an error in one of libcurl's callbacks would only be printed."""
        with contextlib.suppress(ConnectionError):
            self._control.send(encode(message))


class _Guard(ETagGuard):
    """Leaves the judgement to the drive, which hears of the ETag before any byte under it."""

    def __init__(self, worker: Worker, number: int) -> None:
        super().__init__()
        self._worker = worker
        self._number = number

    def admits(self, etag: str) -> bool:
        self._worker.say({"head": self._number, "etag": etag})
        return True


class _Telling(Progress):
    """Tells the drive when somebody there waits for it, and now and then."""

    __slots__ = ("_number", "_told", "_worker")

    def __init__(self, worker: Worker, number: int) -> None:
        super().__init__()
        self._worker = worker
        self._number = number
        self._told = 0

    def put(self, filled: int) -> bool:
        self.filled = filled
        if filled >= self.wanted or filled - self._told >= TELL_BYTES:
            self._tell()
        return False

    def want(self, filled: int) -> None:
        self.wanted = filled
        if self.filled >= filled:
            self._tell()

    def _tell(self) -> None:
        if self.filled >= self.wanted:
            self.wanted = NOBODY
        self._told = self.filled
        self._worker.say({"filled": self._number, "bytes": self.filled})


def main() -> None:
    """Until stdin ends."""
    with socket.socket(fileno=0) as control:
        try:
            Worker(control).run()
        except (EOFError, ConnectionError):
            return  # the drive has gone


if __name__ == "__main__":
    main()
