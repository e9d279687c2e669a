"""The data plane: ranged GETs on libcurl, off the event loop. Floor 1; sole user of pycurl.

One thread drives all transfers through a CurlMulti, so connections are shared and reused whoever
asks; the GIL is released while it waits, decrypts and copies. httpx on trio took 3 CPU-s per GiB
over TLS where libcurl takes 0.8, and its work would sit on the loop that answers the kernel.

One verb: ``fetch``. It never hands out a byte before the answer's status, Content-Range and ETag
have been checked, so a caller may use what has arrived while the rest is on its way.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections import deque
from typing import Any
from urllib.parse import urlsplit

import pycurl
import trio

from dmfs.errors import BadAnswerError, UnreachableError
from dmfs.progress import AnyProgress, as_progress
from dmfs.transfer import ETagGuard, Transfer

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10
STALL_TIMEOUT_S = 15
"""No byte for that long, before or after the headers: try again on another connection."""
SLOWEST_BYTES_PER_S = 32 * 1024
"""Total time allowed is this rate plus the connect and stall times: a slow drip ends some day."""
RECEIVE_BUFFER_BYTES = 512 * 1024
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class RangeFetcher:
    """Fetches byte ranges of URLs into buffers. Start with ``start``, end with ``close``."""

    def __init__(self, *, ca_bundle: str, connections: int) -> None:
        self._ca_bundle = ca_bundle
        self._connections = connections
        self._commands: deque[Transfer | None] = deque()
        self._wake_send, self._wake_receive = socket.socketpair()
        for end in (self._wake_send, self._wake_receive):
            end.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="dmfs-ranges", daemon=True)
        self._stopped = False
        self.gets = 0

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """End all transfers and the thread. Blocks for milliseconds."""
        if not self._stopped:
            self._stopped = True
            self._command(None)
            self._thread.join(timeout=5)
            self._wake_send.close()
            self._wake_receive.close()

    async def fetch(
        self,
        what: str,
        url: str,
        start: int,
        sink: memoryview,
        *,
        total_bytes: int,
        guard: ETagGuard,
        progress: AnyProgress,
    ) -> None:
        """GET ``[start, start + len(sink))`` of an object of ``total_bytes`` into ``sink``.

        ``progress`` is told as the first n bytes of ``sink`` become valid; they are valid even if
        the rest then fails. Raises UrlRefusedError, ObjectChangedError, or
        another DriveError. Cancelling gives the connection up.
        """
        if not acceptable_url(url):
            raise BadAnswerError(f"cannot {what}: the service named a URL that is not https")
        transfer = Transfer(
            what, url, start, sink, total_bytes, guard, as_progress(progress),
            trio.Event(), trio.lowlevel.current_trio_token(),
        )  # fmt: skip
        if not self._thread.is_alive():
            raise UnreachableError(f"cannot {what}: the range fetcher has ended")
        self.gets += 1
        self._command(transfer)
        try:
            await transfer.done.wait()
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

    # Everything below runs in the curl thread alone.

    def _run(self) -> None:
        loop = _CurlLoop(self._ca_bundle, self._connections, self._wake_receive)
        try:
            while True:
                loop.wait()
                while self._commands:
                    command = self._commands.popleft()
                    if command is None:
                        return
                    if command.cancelled:
                        loop.drop(command)
                        continue
                    try:
                        loop.add(command)
                    except Exception as error:  # noqa: BLE001 - a URL that libcurl does not take
                        loop.drop(command)
                        command.finish(1, f"libcurl takes no such request ({type(error).__name__})")
        except Exception:
            log.exception("the range fetcher broke down")
        finally:
            loop.close()


class _CurlLoop:
    """CurlMulti on a selector: the event loop of the curl thread."""

    def __init__(self, ca_bundle: str, connections: int, wake: socket.socket) -> None:
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
        curl: Any = self._idle.pop() if self._idle else pycurl.Curl()
        self._prepare(curl, transfer)
        curl.transfer = transfer
        self._handles[transfer] = curl
        self._multi.add_handle(curl)

    def _prepare(self, curl: Any, transfer: Transfer) -> None:
        plain = urlsplit(transfer.url).scheme == "http"
        protocols = pycurl.PROTO_HTTP if plain else pycurl.PROTO_HTTPS
        length = len(transfer.sink)
        options = {
            pycurl.URL: transfer.url,
            pycurl.RANGE: f"{transfer.start}-{transfer.start + length - 1}",
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
            pycurl.LOW_SPEED_TIME: STALL_TIMEOUT_S,
            pycurl.TIMEOUT: CONNECT_TIMEOUT_S + STALL_TIMEOUT_S + length // SLOWEST_BYTES_PER_S,
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

    def wait(self) -> None:
        """Sleep until a socket, the timer or a command; let libcurl work; finish what is done."""
        timeout_s = None if self._timer_at is None else max(0.0, self._timer_at - time.monotonic())
        ready = self._selector.select(timeout_s)
        if self._timer_at is not None and time.monotonic() >= self._timer_at:
            self._timer_at = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)
        for key, events in ready:
            if key.fileobj is self._wake:
                self._drain()
                continue
            action = (pycurl.CSELECT_IN if events & selectors.EVENT_READ else 0) | (
                pycurl.CSELECT_OUT if events & selectors.EVENT_WRITE else 0
            )
            self._multi.socket_action(key.fd, action)
        self._reap()

    def close(self) -> None:
        for transfer, curl in list(self._handles.items()):
            self._multi.remove_handle(curl)
            curl.close()
            transfer.finish(1, "the drive is shutting down")
        self._multi.close()
        self._selector.close()

    def _drain(self) -> None:
        try:
            while self._wake.recv(4096):
                pass
        except (BlockingIOError, OSError):
            pass

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


def acceptable_url(url: str) -> bool:
    """https anywhere, plain http to this machine only (the emulator's CDN)."""
    try:
        split = urlsplit(url)
        host = split.hostname or ""
    except ValueError:
        return False
    if any(char <= " " or char == "\x7f" for char in url) or "@" in split.netloc:
        return False
    if split.netloc.find("[") > 0:  # urlsplit takes "evil[::1]" for the host ::1
        return False
    return bool(host) and (
        split.scheme == "https" or (split.scheme == "http" and host in _LOOPBACK)
    )
