"""Parts go up on libcurl, in a thread of its own: the loop that answers the kernel does not send.

Slots of its own, too: an upload takes no connection from a reader.
"""

from __future__ import annotations

import trio

from dmfs.errors import UnreachableError
from dmfs.http.curl.thread import CurlThread, LoopSide
from dmfs.http.errormap import shortage
from dmfs.system.resources import shortage_of
from dmfs.write.parts.put import Put, PutRequest
from dmfs.write.parts.puts import Puts

STALL_TIMEOUT_S = 30
"""No byte for so long, neither sent nor received: try again on another connection."""
LOOKS_PER_STALL = 8


class ThreadSender:
    """See ``put.PartSender``; at most ``connections`` parts at once, others wait in their order.
    Start with ``start``, end with ``close``."""

    def __init__(
        self, *, ca_bundle: str, connections: int, stall_timeout_s: float = STALL_TIMEOUT_S
    ) -> None:
        self._ca_bundle = ca_bundle
        self._connections = connections
        self._stall_timeout_s = stall_timeout_s
        self._slots = trio.Semaphore(connections)
        self._thread: CurlThread[Puts] = CurlThread("dmfs-parts")
        self._max_bytes_per_s = 0
        self.puts = 0
        """Parts that were begun."""
        self.sent_bytes = 0
        """Of parts that arrived."""

    def start(self) -> None:
        """OSError where this machine has no descriptor for it, RuntimeError where it has no
        thread."""
        self._thread.start(Puts(self._ca_bundle, self._connections, self._thread.wake))

    def close(self) -> None:
        """End all transfers and the thread. Blocks for milliseconds, unless the spool's disk
        hangs."""
        self._thread.close()

    @property
    def max_bytes_per_s(self) -> int:
        """For all parts together; 0: no limit. It may be set while they go."""
        return self._max_bytes_per_s

    @max_bytes_per_s.setter
    def max_bytes_per_s(self, rate: int) -> None:
        if rate != self._max_bytes_per_s:
            self._max_bytes_per_s = rate
            self._thread.command(lambda loop: loop.limit(rate))

    def gauges(self) -> dict[str, int]:
        """Parts that were begun, and bytes of those that arrived."""
        return {"parts.begun": self.puts, "parts.sent_bytes": self.sent_bytes}

    async def put(self, request: PutRequest) -> str:
        """See ``put.PartSender``."""
        request.check()
        async with self._slots:
            return await self._put(request)

    async def _put(self, request: PutRequest) -> str:
        side = LoopSide()
        try:
            put = Put(
                request, lambda each: side.report(lambda: _report(each)),
                lambda _: side.end(),
            )  # fmt: skip
        except OSError as error:
            short = shortage_of(error)
            if not short:
                raise
            raise shortage(request.action, short) from None
        self.puts += 1
        if not self._thread.command(lambda loop: loop.add(put)):
            put.close()
            raise UnreachableError(f"cannot {request.action}: the part sender has ended")
        try:
            await self._landed(put, side.done)
        except BaseException:
            put.cancelled = True
            self._thread.command(lambda loop: loop.drop(put))
            raise
        if put.error is not None:
            raise put.error
        self.sent_bytes += request.length
        request.on_sent(request.length)
        return put.etag

    async def _landed(self, put: Put, done: trio.Event) -> None:
        """Its end. UnreachableError if nothing moves any more."""
        moved, moved_at = put.moved, trio.current_time()
        while not done.is_set():
            with trio.move_on_after(self._stall_timeout_s / LOOKS_PER_STALL):
                await done.wait()
            now = trio.current_time()
            if put.moved != moved:
                moved, moved_at = put.moved, now
            elif now - moved_at >= self._stall_timeout_s and not done.is_set():
                action = put.request.action
                raise UnreachableError(
                    f"cannot {action}: no byte moved for {self._stall_timeout_s:g} s",
                    hint="check the network connection",
                )


def _report(put: Put) -> None:
    if not put.cancelled:
        put.request.on_sent(put.source.position)
