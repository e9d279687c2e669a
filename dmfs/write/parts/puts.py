"""PUTs on libcurl: the options of each, their limits, and the rate of all together.

For one thread. HTTP/1.1: with HTTP/2 all parts would share one connection and its flow control.
"""

from __future__ import annotations

import os
import socket
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pycurl

from dmfs.http.curl.multi import CurlMulti, curl_shortage
from dmfs.http.errormap import shortage
from dmfs.write.parts.put import Put

CONNECT_TIMEOUT_S = 10
TCP_NOTSENT_LOWAT = 25
"""Of Linux; Python's socket has no name for it."""
SLOWEST_BYTES_PER_S = 1024
"""Total time allowed is this rate plus a minute: a slow drip ends some day, and a rate limit of a
person's is not taken for one."""
UNSENT_BYTES = 256 * 1024
"""The kernel takes no more than that ahead of what it sends. Otherwise megabytes would lie there,
and on a slow line the wait for them to go would look like a stall."""
BUFFER_BYTES = 512 * 1024
"""For each connection. libcurl's usual 64 KiB take eight times the callbacks, each of which needs
the interpreter's lock."""
STEPS_PER_S = 8
STEP_MIN_BYTES = 1024
_CERTIFICATE = (pycurl.E_PEER_FAILED_VERIFICATION, pycurl.E_SSL_CACERT_BADFILE)


class Puts:
    """Transfers under way. ``wake`` is a socket of the caller's that ends a ``wait``."""

    def __init__(self, ca_bundle: str, connections: int, wake: socket.socket) -> None:
        self._ca_bundle = ca_bundle
        self._max_bytes_per_s = 0
        self._closed = False
        self._handles: dict[Put, Any] = {}
        self._idle: list[Any] = []
        self._multi = CurlMulti(connections)
        self._multi.wake_by(wake)
        self.wait = self._multi.wait
        """Sleep, let libcurl work; whether ``wake`` can be read."""

    def add(self, put: Put) -> None:
        """Begin, unless it was cancelled meanwhile. What libcurl does not take fails alone."""
        if put.cancelled or self._closed:
            put.finish(1, "the drive is shutting down")
            return
        try:
            curl: Any = self._idle.pop() if self._idle else pycurl.Curl()
            self._prepare(curl, put)
            self._handles[put] = curl
            self._multi.add(curl, partial(self._finish, curl, put))
            self._share()
        except Exception as error:  # noqa: BLE001 - pycurl raises what it likes
            self.drop(put)
            put.finish(1, f"libcurl takes no such request ({type(error).__name__})")

    def drop(self, put: Put) -> None:
        """Give a cancelled transfer up; closing its connection is libcurl's affair."""
        curl = self._handles.pop(put, None)
        if curl is not None:
            self._multi.remove(curl)
            curl.close()
            put.close()
            self._share()

    def limit(self, max_bytes_per_s: int) -> None:
        """For all transfers together, from now on; 0: none."""
        self._max_bytes_per_s = max_bytes_per_s
        self._share()

    def close(self) -> None:
        """End what is under way, and what is added later."""
        self._closed = True
        for put, curl in list(self._handles.items()):
            self._multi.remove(curl)
            curl.close()
            put.finish(1, "the drive is shutting down")
        self._handles.clear()
        self._multi.close()

    def _share(self) -> None:
        """Each transfer gets its part of the rate."""
        each = self._max_bytes_per_s // max(len(self._handles), 1)
        rate = max(each, 1) if self._max_bytes_per_s else 0
        for put, curl in self._handles.items():
            put.read_max_bytes = max(rate // STEPS_PER_S, STEP_MIN_BYTES) if rate else BUFFER_BYTES
            curl.setopt(pycurl.MAX_SEND_SPEED_LARGE, rate)

    def _prepare(self, curl: Any, put: Put) -> None:
        request = put.request
        plain = urlsplit(request.url).scheme == "http"
        options = {
            pycurl.URL: request.url,
            pycurl.UPLOAD: 1,
            pycurl.INFILESIZE_LARGE: request.length,
            pycurl.UPLOAD_BUFFERSIZE: BUFFER_BYTES,
            pycurl.READFUNCTION: partial(_read, put),
            pycurl.SEEKFUNCTION: partial(_seek, put),
            pycurl.HEADERFUNCTION: put.on_header,
            pycurl.WRITEFUNCTION: put.on_body,
            # the URL signs no header but the host: what is added may break the signature
            pycurl.HTTPHEADER: ["Expect:", "Accept:"],
            pycurl.USERAGENT: "dmfs",
            pycurl.NOSIGNAL: 1,
            pycurl.TCP_NODELAY: 1,
            pycurl.HTTP_VERSION: pycurl.CURL_HTTP_VERSION_1_1,
            pycurl.PATH_AS_IS: 1,
            pycurl.PROTOCOLS: pycurl.PROTO_HTTP if plain else pycurl.PROTO_HTTPS,
            pycurl.FOLLOWLOCATION: 0,  # a 303 would be followed by a GET, whose 200 is no success
            pycurl.CAINFO: self._ca_bundle,
            pycurl.CONNECTTIMEOUT: CONNECT_TIMEOUT_S,
            pycurl.TIMEOUT: 60 + request.length // SLOWEST_BYTES_PER_S,
            pycurl.SOCKOPTFUNCTION: _prepare_socket,
        }
        for option, value in options.items():
            curl.setopt(option, value)

    def _finish(self, curl: Any, put: Put, code: int, message: str) -> None:
        self._handles.pop(put, None)
        short = curl_shortage(curl, code)
        if short and put.error is None:
            put.error = shortage(put.request.action, short)
        curl.reset()  # lets go of the callbacks, and through them of the pieces
        self._idle.append(curl)
        self._share()
        put.finish(code, message, certificate=code in _CERTIFICATE)


def _prepare_socket(descriptor: int, _purpose: int) -> int:
    with socket.socket(fileno=os.dup(descriptor)) as own:
        own.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    return int(pycurl.SOCKOPT_OK)


def _read(put: Put, most: int) -> bytes | int:
    some = put.on_read(most)
    return pycurl.READFUNC_ABORT if some is None else some


def _seek(put: Put, offset: int, _origin: int) -> int:
    """libcurl only ever goes back to a place counted from the begin."""
    put.on_seek(offset)
    return int(pycurl.SEEKFUNC_OK)
