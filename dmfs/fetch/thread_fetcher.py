"""The data plane in the drive's own process: ranged GETs on libcurl, in a thread.

One thread drives all transfers (``curl/transfers.py``). httpx on trio took 3 CPU-s per GiB over
TLS where libcurl takes 0.8, and its work would sit on the loop that answers the kernel.

``fetch`` reports no byte before the answer's status, Content-Range and ETag have been checked, so a
caller may use what has arrived while the rest is on its way.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable

import trio

from dmfs.errors import UnreachableError
from dmfs.fetch.curl import transfers
from dmfs.fetch.curl.transfer import RangeRequest, Transfer
from dmfs.fetch.curl.transfers import Transfers

log = logging.getLogger(__name__)


class ThreadFetcher:
    """Fetches byte ranges of URLs into buffers. Start with ``start``, end with ``close``."""

    def __init__(self, *, ca_bundle: str, connections: int) -> None:
        self._ca_bundle = ca_bundle
        self._connections = connections
        self._commands: deque[Transfer | None] = deque()
        self._wake_send, self._wake_receive = socket.socketpair()
        for end in (self._wake_send, self._wake_receive):
            end.setblocking(False)
        self._thread = threading.Thread()  # until ``start``
        self._stopped = False
        self.gets = 0
        """Requests so far."""

    def start(self) -> None:
        """OSError where this machine has no descriptor for it (in the thread nobody would hear),
        RuntimeError where it has no thread."""
        loop = Transfers(
            self._ca_bundle, self._connections, self._wake_receive,
            stall_timeout_s=transfers.STALL_TIMEOUT_S,
        )  # fmt: skip
        self._thread = threading.Thread(
            target=self._run, args=(loop,), name="dmfs-ranges", daemon=True
        )
        try:
            self._thread.start()
        except BaseException:
            loop.close()
            raise

    def close(self) -> None:
        """End all transfers and the thread. Blocks for milliseconds."""
        if not self._stopped:
            self._stopped = True
            self._command(None)
            if self._thread.is_alive():
                self._thread.join(timeout=5)
            self._wake_send.close()
            self._wake_receive.close()

    async def fetch(self, request: RangeRequest) -> None:
        """See ``transfer.Fetcher``."""
        request.check_url()
        if not self._thread.is_alive():
            raise UnreachableError(f"cannot {request.action}: the range fetcher has ended")
        landing = _Landing(trio.lowlevel.current_trio_token())
        transfer = Transfer(request, landing.on_wanted, landing.on_end)
        self.gets += 1
        self._command(transfer)
        try:
            await landing.done.wait()
        except trio.Cancelled:
            transfer.cancelled = True
            self._command(transfer)
            raise
        if transfer.error is not None:
            raise transfer.error

    def _command(self, command: Transfer | None) -> None:
        self._commands.append(command)
        try:
            self._wake_send.send(b"\0")
        except (BlockingIOError, OSError):
            pass  # a full pipe wakes as well; a closed one means that we are done

    # Below: in the curl thread alone.

    def _run(self, loop: Transfers) -> None:
        try:
            while True:
                if loop.wait():
                    self._drain()
                while self._commands:
                    command = self._commands.popleft()
                    if command is None:
                        return
                    if command.cancelled:
                        loop.drop(command)
                    else:
                        loop.add(command)
        except Exception:
            log.exception("the range fetcher broke down")
        finally:
            loop.close()

    def _drain(self) -> None:
        try:
            while self._wake_receive.recv(4096):
                pass
        except (BlockingIOError, OSError):
            pass


class _Landing:
    """The trio loop's side of a transfer in the curl thread."""

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self._token = token
        self._reporting = False
        self.done = trio.Event()

    def on_wanted(self, transfer: Transfer) -> None:
        """A reader waits for what has come. Reported once for several chunks."""
        if not self._reporting:
            self._reporting = True
            self._soon(lambda: self._report(transfer))

    def on_end(self, transfer: Transfer) -> None:
        self._soon(lambda: self._ended(transfer))

    def _soon(self, call: Callable[[], None]) -> None:
        try:
            self._token.run_sync_soon(call)
        except trio.RunFinishedError:
            pass

    # Below: on the loop.

    def _report(self, transfer: Transfer) -> None:
        self._reporting = False
        if not transfer.cancelled:
            transfer.request.progress.wake()

    def _ended(self, transfer: Transfer) -> None:
        if not transfer.cancelled and transfer.request.progress.put(transfer.filled):
            transfer.request.progress.wake()
        self.done.set()
