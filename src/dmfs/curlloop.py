"""libcurl's transfers on an event loop of their own: connections, timeouts, limits. Floor 1.

Connections are shared and reused whoever asks; the GIL is released while libcurl waits and
decrypts. For one thread: the drive's curl thread, or the only one of the fetching process.
"""

from __future__ import annotations

import selectors
import socket
import time
from typing import Any
from urllib.parse import urlsplit

import pycurl

from dmfs.transfer import Transfer

CONNECT_TIMEOUT_S = 10
STALL_TIMEOUT_S = 15
"""No byte for that long, before or after the headers: try again on another connection."""
SLOWEST_BYTES_PER_S = 32 * 1024
"""Total time allowed is this rate plus the connect and stall times: a slow drip ends some day."""
RECEIVE_BUFFER_BYTES = 512 * 1024


class CurlLoop:
    """CurlMulti on a selector. ``wake`` is a socket of the caller's that ends a ``wait``."""

    def __init__(
        self, ca_bundle: str, connections: int, wake: socket.socket, *, stall_timeout_s: int
    ) -> None:
        self._stall_timeout_s = stall_timeout_s
        self._ca_bundle = ca_bundle
        self._wake = wake
        self._selector = selectors.DefaultSelector()
        self._selector.register(wake, selectors.EVENT_READ)
        self._handles: dict[Transfer, Any] = {}
        self._idle: list[Any] = []
        self._timer_at: float | None = None
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)
        self._multi.setopt(pycurl.M_MAX_TOTAL_CONNECTIONS, connections)
        self._multi.setopt(pycurl.M_MAXCONNECTS, connections)

    def add(self, transfer: Transfer) -> None:
        """Begin. What libcurl does not take (a URL it cannot read) fails alone."""
        try:
            self._add(transfer)
        except Exception as error:  # noqa: BLE001 - pycurl raises what it likes
            self.drop(transfer)
            transfer.finish(1, f"libcurl takes no such request ({type(error).__name__})")

    def _add(self, transfer: Transfer) -> None:
        curl: Any = self._idle.pop() if self._idle else pycurl.Curl()
        self._prepare(curl, transfer)
        curl.transfer = transfer
        self._handles[transfer] = curl
        self._multi.add_handle(curl)

    def _prepare(self, curl: Any, transfer: Transfer) -> None:
        get = transfer.get
        plain = urlsplit(get.url).scheme == "http"
        protocols = pycurl.PROTO_HTTP if plain else pycurl.PROTO_HTTPS
        length = len(get.sink)
        options = {
            pycurl.URL: get.url,
            pycurl.RANGE: f"{get.start}-{get.start + length - 1}",
            pycurl.NOSIGNAL: 1,
            pycurl.TCP_NODELAY: 1,
            pycurl.BUFFERSIZE: RECEIVE_BUFFER_BYTES,
            # with HTTP/2 all ranges would share one connection and its flow control
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
            pycurl.PROTOCOLS: protocols,
            pycurl.REDIR_PROTOCOLS: protocols,
            pycurl.FOLLOWLOCATION: 0 if plain else 1,  # this machine's own never lead elsewhere
            pycurl.MAXREDIRS: 3,
            pycurl.CAINFO: self._ca_bundle,
            pycurl.CONNECTTIMEOUT: CONNECT_TIMEOUT_S,
            pycurl.LOW_SPEED_LIMIT: 1,
            pycurl.LOW_SPEED_TIME: self._stall_timeout_s,
            pycurl.TIMEOUT: CONNECT_TIMEOUT_S
            + self._stall_timeout_s
            + length // SLOWEST_BYTES_PER_S,
            pycurl.USERAGENT: "dmfs",
            pycurl.HEADERFUNCTION: transfer.on_header,
            pycurl.WRITEFUNCTION: transfer.on_body,
        }
        for option, value in options.items():
            curl.setopt(option, value)

    def drop(self, transfer: Transfer) -> None:
        """Give a cancelled transfer up; closing its connection is libcurl's affair."""
        curl = self._handles.pop(transfer, None)
        if curl is not None:
            self._multi.remove_handle(curl)
            curl.close()

    def wait(self) -> bool:
        """Sleep until a socket, the timer or a command; let libcurl work; finish what is done.
        Whether ``wake`` can be read."""
        woken = False
        timeout_s = None if self._timer_at is None else max(0.0, self._timer_at - time.monotonic())
        ready = self._selector.select(timeout_s)
        if self._timer_at is not None and time.monotonic() >= self._timer_at:
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
        """End what is under way."""
        for transfer, curl in list(self._handles.items()):
            self._multi.remove_handle(curl)
            curl.close()
            transfer.finish(1, "the drive is shutting down")
        self._multi.close()
        self._selector.close()

    def _reap(self) -> None:
        while True:
            queued, succeeded, failed = self._multi.info_read()
            for curl in succeeded:
                self._finish(curl, 0, "")
            for curl, code, message in failed:
                self._finish(curl, code, message)
            if not queued:
                return

    def _finish(self, curl: Any, code: int, message: str) -> None:
        transfer: Transfer = curl.transfer
        self._handles.pop(transfer, None)
        self._multi.remove_handle(curl)
        curl.transfer = None
        curl.reset()  # lets go of the callbacks, and through them of the sink's megabytes
        self._idle.append(curl)
        transfer.finish(code, message)

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
        self._timer_at = None if timeout_ms < 0 else time.monotonic() + timeout_ms / 1000
