"""The loopback server that takes the browser's redirect after signing in (RFC 8252).

On 127.0.0.1 alone, for one answer, for five minutes. Anybody on this machine can send requests: any
other one (a favicon, a probe, a forged answer, nonsense, a connection that sends nothing) gets an
error and does not end the wait, nor keep the browser from being heard.
"""

from __future__ import annotations

import errno
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from html import escape

import h11
import trio

from dmfs.errors import DriveError, SetupError

log = logging.getLogger(__name__)

HOST = "127.0.0.1"
REQUEST_MAX_BYTES = 32 * 1024
"""A code is some hundred bytes; a browser adds cookies of other apps on localhost."""
REQUEST_TIMEOUT_S = 10.0
CONNECTIONS = 16
"""A browser opens a handful, some of them only in case. One more, and the oldest is closed: whoever
opens many and sends nothing must not keep the browser out."""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>dmfs: {title}</title>
<style>body{{font:18px sans-serif;max-width:32em;margin:4em auto}}</style></head>
<body><h1>{title}</h1><p>{text}</p></body></html>
"""
Accept = Callable[[str], str | None]
"""From the request's target to the code in it, None if it is nobody's that we asked; raises
DriveError for a refusal."""


class Listener:
    """An open listener; ``wait`` for the answer."""

    def __init__(self, sockets: list[trio.SocketListener], path: str, accept: Accept) -> None:
        self._sockets = sockets
        self._path = path
        self._accept = accept
        self._open: dict[trio.CancelScope, None] = {}
        """Of connections, the oldest first."""
        self._outcome: str | DriveError | None = None

    async def wait(self) -> str:
        """The code; the DriveError of an answer that is a refusal. Ends with the deadline."""
        async with trio.open_nursery() as nursery:

            async def serve(stream: trio.SocketStream) -> None:
                with trio.move_on_after(REQUEST_TIMEOUT_S) as scope:
                    self._make_room(scope)
                    try:
                        async with stream:
                            await self._answer(stream)
                    except Exception as error:  # noqa: BLE001 - a stranger's nonsense ends nothing
                        log.debug("a connection to the callback ended: %s", type(error).__name__)
                    finally:
                        self._open.pop(scope, None)
                if self._outcome is not None:
                    nursery.cancel_scope.cancel()

            for each in self._sockets:
                nursery.start_soon(trio.serve_listeners, serve, [each])
        if isinstance(self._outcome, DriveError):
            raise self._outcome
        assert self._outcome is not None
        return self._outcome

    def _make_room(self, scope: trio.CancelScope) -> None:
        self._open[scope] = None
        if len(self._open) > CONNECTIONS:
            oldest = next(iter(self._open))
            del self._open[oldest]
            oldest.cancel()

    async def _answer(self, stream: trio.SocketStream) -> None:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=REQUEST_MAX_BYTES)
        try:
            while (event := connection.next_event()) is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some(8192)))
        except h11.RemoteProtocolError as error:
            status = error.error_status_hint
            await _send(stream, connection, status, "Not here", "That is no request.")
            return
        if not isinstance(event, h11.Request):
            return
        target = event.target.decode("latin-1")
        path, _, query = target.partition("?")
        if event.method != b"GET" or path != self._path or not query or self._outcome is not None:
            text, is_head = "dmfs waits for something else.", event.method == b"HEAD"
            await _send(stream, connection, 404, "Not here", text, headers_only=is_head)
            return
        try:
            code = self._accept(target)
        except DriveError as error:
            self._outcome = error
            await _send(stream, connection, 400, "Not signed in", error.message + ".")
            return
        if code is None:
            text = "This answer belongs to another attempt to sign in."
            await _send(stream, connection, 400, "Not signed in", text)
            return
        self._outcome = code
        text = "dmfs has the answer. You may close this page and go back to the terminal."
        await _send(stream, connection, 200, "Thank you", text)


async def _send(
    stream: trio.SocketStream, connection: h11.Connection, status: int, title: str, text: str,
    *, headers_only: bool = False,
) -> None:  # fmt: skip
    body = _PAGE.format(title=escape(title), text=escape(text)).encode()
    headers = [
        ("Content-Type", "text/html; charset=utf-8"),
        ("Content-Length", str(len(body))),
        ("Cache-Control", "no-store"),
        # the address of this page contains the code: it goes nowhere else
        ("Referrer-Policy", "no-referrer"),
        ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
        ("Connection", "close"),
    ]
    response = h11.Response(status_code=status, headers=headers)
    data = connection.send(response) or b""
    if not headers_only:
        data += connection.send(h11.Data(data=body)) or b""
    data += connection.send(h11.EndOfMessage()) or b""
    await stream.send_all(data)


@asynccontextmanager
async def listen(port: int, path: str, accept: Accept) -> AsyncIterator[Listener]:
    """Open the listener, before the browser opens the page. SetupError if the port is taken."""
    try:
        sockets = await trio.open_tcp_listeners(port, host=HOST)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SetupError(
                f"port {port}, which the callback needs, is taken by another program",
                hint="end that program, use --callback with another URL registered for the app, "
                "or --no-browser",
            ) from None
        reason = error.strerror
        raise SetupError(
            f"cannot listen on port {port}: {reason}",
            hint="use --callback with a port above 1023 that is registered, or --no-browser",
        ) from None
    try:
        yield Listener(sockets, path, accept)
    finally:
        for each in sockets:
            await each.aclose()
