"""A thread that drives transfers of libcurl's, and what crosses between it and the trio loop.

The loop gives commands, which the thread carries out in their order; the thread reports to the
loop. Nothing else is shared: a transfer belongs to the thread from the command that begins it to
its end, apart from the flag that says that it was cancelled.
"""

from __future__ import annotations

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import trio

log = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 5


class Transfers(Protocol):
    """What the thread runs."""

    def wait(self) -> bool:
        """Sleep, let libcurl work; whether the wake socket can be read."""
        ...

    def close(self) -> None:
        """End what is under way, and what is begun later."""
        ...


L = TypeVar("L", bound=Transfers)


class CurlThread(Generic[L]):
    """Start with ``start``, end with ``close``; both once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._commands: deque[Callable[[L], None] | None] = deque()
        self._ending = threading.Lock()
        self._ended = False
        """The thread is at its end: nobody carries a command out. Beneath ``_ending``."""
        self._wake_send, self.wake = socket.socketpair()
        for end in (self._wake_send, self.wake):
            end.setblocking(False)
        self._thread = threading.Thread()  # until ``start``
        self._closed = False

    def start(self, transfers: L) -> None:
        """``transfers`` sleep until ``wake`` can be read. They are closed with the thread.
        RuntimeError where this machine has no thread."""
        self._thread = threading.Thread(
            target=self._run, args=(transfers,), name=self._name, daemon=True
        )
        try:
            self._thread.start()
        except BaseException:
            transfers.close()
            raise

    def close(self) -> None:
        """End all transfers and the thread. Blocks for milliseconds, unless a disk that a transfer
        reads from hangs."""
        if self._closed:
            return
        self._closed = True
        self.command(None)
        if self._thread.is_alive():
            self._thread.join(timeout=CLOSE_TIMEOUT_S)
        self._wake_send.close()
        self.wake.close()

    def command(self, command: Callable[[L], None] | None) -> bool:
        """Whether it will be carried out, in the thread. None ends it."""
        with self._ending:
            if self._ended or not self._thread.is_alive():
                return False
            self._commands.append(command)
        try:
            self._wake_send.send(b"\0")
        except (BlockingIOError, OSError):
            pass  # a full pipe wakes as well; a closed one means that we are done
        return True

    # Below: in the thread alone.

    def _run(self, transfers: L) -> None:
        try:
            while True:
                if transfers.wait():
                    self._drain()
                while self._commands:
                    command = self._commands.popleft()
                    if command is None:
                        return
                    command(transfers)
        except Exception:
            log.exception("%s broke down", self._name)
        finally:
            with self._ending:
                self._ended = True
            transfers.close()
            for command in filter(None, self._commands):  # of transfers that never began
                command(transfers)

    def _drain(self) -> None:
        try:
            while self.wake.recv(4096):
                pass
        except (BlockingIOError, OSError):
            pass


class LoopSide:
    """The trio loop's side of a transfer. Make it on the loop."""

    def __init__(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        self._reporting = False
        self.done = trio.Event()

    def report(self, call: Callable[[], Any]) -> None:
        """From the thread: call it on the loop, soon; once for several reports."""
        if not self._reporting:
            self._reporting = True
            self._soon(lambda: self._report(call))

    def end(self, call: Callable[[], Any] | None = None) -> None:
        """From the thread: the same for the end, which is never left out. ``done`` is set after
        the call."""
        self._soon(lambda: self._end(call))

    def _soon(self, call: Callable[[], None]) -> None:
        try:
            self._token.run_sync_soon(call)
        except trio.RunFinishedError:
            pass

    # Below: on the loop.

    def _report(self, call: Callable[[], Any]) -> None:
        self._reporting = False
        if not self.done.is_set():
            call()

    def _end(self, call: Callable[[], Any] | None) -> None:
        if call is not None:
            call()
        self.done.set()
