"""Parts go up on libcurl, in a thread of its own: the loop that answers the kernel does not send.

Slots of its own, too: an upload takes no connection from a reader.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable
from functools import partial

import trio

from dmfs.errors import UnreachableError
from dmfs.http.errormap import shortage
from dmfs.system.resources import shortage_of
from dmfs.write.parts.put import Put, PutRequest
from dmfs.write.parts.puts import Puts

log = logging.getLogger(__name__)

STALL_TIMEOUT_S = 30
"""No byte for so long, neither sent nor received: try again on another connection."""
LOOKS_PER_STALL = 8

Command = Callable[[Puts], None]


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
        self._commands: deque[Command | None] = deque()
        self._ending = threading.Lock()
        self._ended = False
        """The thread is at its end: nobody carries a command out."""
        self._wake_send, self._wake_receive = socket.socketpair()
        for end in (self._wake_send, self._wake_receive):
            end.setblocking(False)
        self._thread = threading.Thread()  # until ``start``
        self._max_bytes_per_s = 0
        self.puts = 0
        """Parts that were begun."""
        self.sent_bytes = 0
        """Of parts that arrived."""

    def start(self) -> None:
        """OSError where this machine has no descriptor for it, RuntimeError where it has no
        thread."""
        loop = Puts(self._ca_bundle, self._connections, self._wake_receive)
        self._thread = threading.Thread(
            target=self._run, args=(loop,), name="dmfs-parts", daemon=True
        )
        try:
            self._thread.start()
        except BaseException:
            loop.close()
            raise

    def close(self) -> None:
        """End all transfers and the thread. Blocks for milliseconds, unless the spool's disk
        hangs."""
        self._command(None)
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._wake_send.close()
        self._wake_receive.close()

    @property
    def max_bytes_per_s(self) -> int:
        """For all parts together; 0: no limit. It may be set while they go."""
        return self._max_bytes_per_s

    @max_bytes_per_s.setter
    def max_bytes_per_s(self, rate: int) -> None:
        if rate != self._max_bytes_per_s:
            self._max_bytes_per_s = rate
            self._command(lambda loop: loop.limit(rate))

    def gauges(self) -> dict[str, int]:
        """Parts that were begun, and bytes of those that arrived."""
        return {"parts.begun": self.puts, "parts.sent_bytes": self.sent_bytes}

    async def put(self, request: PutRequest) -> str:
        """See ``put.PartSender``."""
        request.check()
        async with self._slots:
            return await self._put(request)

    async def _put(self, request: PutRequest) -> str:
        landing = _Landing(trio.lowlevel.current_trio_token())
        try:
            put = Put(request, landing.on_progress, landing.on_end)
        except OSError as error:
            short = shortage_of(error)
            if not short:
                raise
            raise shortage(request.action, short) from None
        self.puts += 1
        if not self._thread.is_alive() or not self._command(lambda loop: loop.add(put)):
            put.close()
            raise UnreachableError(f"cannot {request.action}: the part sender has ended")
        try:
            await self._landed(put, landing.done)
        except BaseException:
            put.cancelled = True
            self._command(partial(_drop, put))
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

    def _command(self, command: Command | None) -> bool:
        """Whether it will be carried out."""
        with self._ending:
            if self._ended:
                return False
            self._commands.append(command)
        try:
            self._wake_send.send(b"\0")
        except (BlockingIOError, OSError):
            pass  # a full pipe wakes as well; a closed one means that we are done
        return True

    # Below: in the curl thread alone.

    def _run(self, loop: Puts) -> None:
        try:
            while True:
                if loop.wait():
                    self._drain()
                while self._commands:
                    command = self._commands.popleft()
                    if command is None:
                        return
                    command(loop)
        except Exception:
            log.exception("the part sender broke down")
        finally:
            with self._ending:
                self._ended = True
            loop.close()
            for command in filter(None, self._commands):  # of parts that never began
                command(loop)

    def _drain(self) -> None:
        try:
            while self._wake_receive.recv(4096):
                pass
        except (BlockingIOError, OSError):
            pass


def _drop(put: Put, loop: Puts) -> None:
    loop.drop(put)


class _Landing:
    """The trio loop's side of a transfer in the curl thread."""

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self._token = token
        self._reporting = False
        self.done = trio.Event()

    def on_progress(self, put: Put) -> None:
        """Bytes have gone. Reported once for several chunks."""
        if not self._reporting:
            self._reporting = True
            self._soon(lambda: self._report(put))

    def on_end(self, _put: Put) -> None:
        self._soon(self.done.set)

    def _soon(self, call: Callable[[], None]) -> None:
        try:
            self._token.run_sync_soon(call)
        except trio.RunFinishedError:
            pass

    # Below: on the loop.

    def _report(self, put: Put) -> None:
        self._reporting = False
        if not put.cancelled and not self.done.is_set():
            put.request.on_sent(put.source.position)
