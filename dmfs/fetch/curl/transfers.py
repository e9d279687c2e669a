"""Ranged GETs on libcurl: the options of each, and its limits.

The GIL is released while libcurl waits and decrypts. For one thread: the drive's curl thread, or
the only one of the fetching process.
"""

from __future__ import annotations

import socket
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pycurl

from dmfs.fetch.curl.transfer import Transfer
from dmfs.http.curl.multi import CurlMulti, curl_shortage
from dmfs.http.errormap import shortage

CONNECT_TIMEOUT_S = 10
STALL_TIMEOUT_S = 15
"""No byte for that long, before or after the headers: try again on another connection."""
SLOWEST_BYTES_PER_S = 32 * 1024
"""Total time allowed is this rate plus the connect and stall times: a slow drip ends some day."""
RECEIVE_BUFFER_BYTES = 512 * 1024


class Transfers:
    """Transfers under way. ``wake`` is a socket of the caller's that ends a ``wait``."""

    def __init__(
        self, ca_bundle: str, connections: int, wake: socket.socket, *, stall_timeout_s: int
    ) -> None:
        self._stall_timeout_s = stall_timeout_s
        self._ca_bundle = ca_bundle
        self._handles: dict[Transfer, Any] = {}
        self._idle: list[Any] = []
        self._closed = False
        self._multi = CurlMulti(connections)
        self._multi.wake_by(wake)
        self.wait = self._multi.wait
        """Sleep, let libcurl work; whether ``wake`` can be read."""

    def add(self, transfer: Transfer) -> None:
        """Begin, unless it was cancelled meanwhile. What libcurl does not take (a URL it cannot
        read) fails alone."""
        if transfer.cancelled:
            return
        if self._closed:
            transfer.finish(1, "the drive is shutting down")
            return
        try:
            self._add(transfer)
        except Exception as error:  # noqa: BLE001 - pycurl raises what it likes
            self.drop(transfer)
            transfer.finish(1, f"libcurl takes no such request ({type(error).__name__})")

    def _add(self, transfer: Transfer) -> None:
        curl: Any = self._idle.pop() if self._idle else pycurl.Curl()
        self._prepare(curl, transfer)
        self._handles[transfer] = curl
        self._multi.add(curl, partial(self._finish, curl, transfer))

    def _prepare(self, curl: Any, transfer: Transfer) -> None:
        request = transfer.request
        plain = urlsplit(request.url).scheme == "http"
        protocols = pycurl.PROTO_HTTP if plain else pycurl.PROTO_HTTPS
        length = len(request.buffer)
        options = {
            pycurl.URL: request.url,
            pycurl.RANGE: f"{request.start}-{request.start + length - 1}",
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
            pycurl.HTTPHEADER: (
                [f"If-None-Match: {request.unless_etag}"] if request.unless_etag else []
            ),
            pycurl.HEADERFUNCTION: transfer.on_header,
            pycurl.WRITEFUNCTION: transfer.on_body,
        }
        for option, value in options.items():
            curl.setopt(option, value)

    def drop(self, transfer: Transfer) -> None:
        """Give a cancelled transfer up; closing its connection is libcurl's affair."""
        curl = self._handles.pop(transfer, None)
        if curl is not None:
            self._multi.remove(curl)
            curl.close()

    def close(self) -> None:
        """End what is under way, and what is added later."""
        self._closed = True
        for transfer, curl in list(self._handles.items()):
            self._multi.remove(curl)
            curl.close()
            transfer.finish(1, "the drive is shutting down")
        self._handles.clear()
        self._multi.close()

    def _finish(self, curl: Any, transfer: Transfer, code: int, message: str) -> None:
        self._handles.pop(transfer, None)
        short = curl_shortage(curl, code)
        if short and transfer.error is None:
            transfer.error = shortage(transfer.request.action, short)
        curl.reset()  # lets go of the callbacks, and through them of the buffer's megabytes
        self._idle.append(curl)
        transfer.finish(code, message)
