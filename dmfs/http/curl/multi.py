"""libcurl's multi interface on an epoll of its own, so that its owner can sleep on one descriptor.

One thread uses it: the drive's curl thread, the only thread of the fetching process, or the event
loop, which waits for the epoll's descriptor as for any other.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Callable
from typing import Any

import pycurl

from dmfs.system.resources import MEMORY, shortage_of_errno

OnEnd = Callable[[int, str], None]
"""libcurl's error code (0: none) and text."""


_MAY_BE_SHORTAGE = frozenset({
    pycurl.E_COULDNT_RESOLVE_PROXY, pycurl.E_COULDNT_RESOLVE_HOST, pycurl.E_COULDNT_CONNECT,
    pycurl.E_SSL_CONNECT_ERROR, pycurl.E_SSL_CACERT_BADFILE, pycurl.E_FAILED_INIT,
})  # fmt: skip
"""A socket, a pipe, a resolver's thread or the file of authorities could not be had."""


def curl_shortage(curl: Any, code: int) -> str:
    """What this machine ran out of, if that is why a transfer failed with ``code``; '' else."""
    if code == pycurl.E_OUT_OF_MEMORY:
        return MEMORY
    return shortage_of_errno(curl.getinfo(pycurl.OS_ERRNO)) if code in _MAY_BE_SHORTAGE else ""


class CurlMulti:
    """Transfers over at most ``connections`` connections, which are reused."""

    def __init__(
        self, connections: int, on_timer: Callable[[float | None], None] | None = None
    ) -> None:
        """``on_timer`` gets the seconds after which libcurl wants to be called (None: never)."""
        self._selector = selectors.EpollSelector()
        self._wake: socket.socket | None = None
        self._on_timer_set = on_timer
        self._timer_at: float | None = None
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, connections)
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections)

    def fileno(self) -> int:
        """Readable when ``wait`` has something to do (timers apart)."""
        return self._selector.fileno()

    def wake_by(self, wake: socket.socket) -> None:
        """``wait`` returns when there is something to read, and leaves it there."""
        self._wake = wake
        self._selector.register(wake, selectors.EVENT_READ)

    def add(self, curl: Any, on_end: OnEnd) -> None:
        """Begin; a later ``wait`` or ``act`` calls ``on_end``. pycurl.error."""
        curl.on_end = on_end
        self._multi.add_handle(curl)

    def remove(self, curl: Any) -> None:
        """Give a transfer up; libcurl closes its connection."""
        curl.on_end = None
        self._multi.remove_handle(curl)

    def wait(self) -> bool:
        """Sleep until a socket, the timer or the wake socket, then ``act``. True for the latter."""
        timeout_s = None if self._timer_at is None else max(0.0, self._timer_at - time.monotonic())
        ready = self._selector.select(timeout_s)
        timer_due = self._timer_at is not None and time.monotonic() >= self._timer_at
        return self._act(ready, timer_due=timer_due)

    def act(self, *, timer_due: bool) -> bool:
        """Let libcurl work on what is ready, and end what is done. Never sleeps."""
        return self._act(self._selector.select(0), timer_due=timer_due)

    def _act(self, ready: list[tuple[selectors.SelectorKey, int]], *, timer_due: bool) -> bool:
        woken = False
        if timer_due:
            self._timer_at = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        for key, events in ready:
            if key.fileobj is self._wake:
                woken = True
                continue
            action = (pycurl.CSELECT_IN if events & selectors.EVENT_READ else 0) | (
                pycurl.CSELECT_OUT if events & selectors.EVENT_WRITE else 0
            )
            self._multi.socket_action(key.fd, action)
        self._reap()
        return woken

    def close(self) -> None:
        """After all transfers."""
        self._multi.close()
        self._selector.close()

    def _reap(self) -> None:
        while True:
            queued, succeeded, failed = self._multi.info_read()
            for curl in succeeded:
                self._end(curl, 0, "")
            for curl, code, message in failed:
                self._end(curl, code, message)
            if not queued:
                return

    def _end(self, curl: Any, code: int, message: str) -> None:
        on_end: OnEnd = curl.on_end
        self.remove(curl)
        on_end(code, message)

    def _on_socket(self, event: int, fd: int, _multi: Any, _data: Any) -> None:
        if event == pycurl.POLL_REMOVE:
            try:
                self._selector.unregister(fd)
            except (KeyError, ValueError):
                pass
            return
        wanted = (selectors.EVENT_READ if event & pycurl.POLL_IN else 0) | (
            selectors.EVENT_WRITE if event & pycurl.POLL_OUT else 0
        )
        try:
            self._selector.modify(fd, wanted)
        except KeyError:
            self._selector.register(fd, wanted)

    def _on_timer(self, timeout_ms: int) -> None:
        timeout_s = None if timeout_ms < 0 else timeout_ms / 1000
        self._timer_at = None if timeout_s is None else time.monotonic() + timeout_s
        if self._on_timer_set is not None:
            self._on_timer_set(timeout_s)
