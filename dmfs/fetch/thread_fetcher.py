"""The data plane in the drive's own process: ranged GETs on libcurl, in a thread.

One thread drives all transfers (``curl/transfers.py``). httpx on trio took 3 CPU-s per GiB over
TLS where libcurl takes 0.8, and its work would sit on the loop that answers the kernel.

``fetch`` reports no byte before the answer's status, Content-Range and ETag have been checked, so a
caller may use what has arrived while the rest is on its way.
"""

from __future__ import annotations

from functools import partial

import trio

from dmfs.errors import UnreachableError
from dmfs.fetch.curl import transfers
from dmfs.fetch.curl.transfer import RangeRequest, Transfer
from dmfs.fetch.curl.transfers import Transfers
from dmfs.http.curl.thread import CurlThread, LoopSide


class ThreadFetcher:
    """Fetches byte ranges of URLs into buffers. Start with ``start``, end with ``close``."""

    def __init__(self, *, ca_bundle: str, connections: int) -> None:
        self._ca_bundle = ca_bundle
        self._connections = connections
        self._thread: CurlThread[Transfers] = CurlThread("dmfs-ranges")
        self.gets = 0
        """Requests so far."""

    def start(self) -> None:
        """OSError where this machine has no descriptor for it (in the thread nobody would hear),
        RuntimeError where it has no thread."""
        self._thread.start(
            Transfers(
                self._ca_bundle, self._connections, self._thread.wake,
                stall_timeout_s=transfers.STALL_TIMEOUT_S,
            )
        )  # fmt: skip

    def close(self) -> None:
        """End all transfers and the thread. Blocks for milliseconds."""
        self._thread.close()

    async def fetch(self, request: RangeRequest) -> None:
        """See ``transfer.Fetcher``."""
        request.check_url()
        side = LoopSide()
        transfer = Transfer(
            request,
            lambda each: side.report(partial(_report, each)),
            lambda each: side.end(partial(_ended, each)),
        )
        if not self._thread.command(lambda loop: loop.add(transfer)):
            raise UnreachableError(f"cannot {request.action}: the range fetcher has ended")
        self.gets += 1
        try:
            await side.done.wait()
        except trio.Cancelled:
            transfer.cancelled = True
            self._thread.command(lambda loop: loop.drop(transfer))
            raise
        if transfer.error is not None:
            raise transfer.error


def _report(transfer: Transfer) -> None:
    """A reader waits for what has come."""
    if not transfer.cancelled:
        transfer.request.progress.wake()


def _ended(transfer: Transfer) -> None:
    if not transfer.cancelled and transfer.request.progress.put(transfer.filled):
        transfer.request.progress.wake()
