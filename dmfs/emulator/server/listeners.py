"""Listeners and connections: two origins in one trio loop."""

from __future__ import annotations

import errno
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

import h11
import trio

from dmfs.emulator.api.service import Later
from dmfs.emulator.http.delivery import ConnectionBroken, Stream
from dmfs.emulator.http.messages import Request
from dmfs.emulator.server.bodies import Receiver
from dmfs.emulator.server.emulator import Emulator
from dmfs.emulator.server.handler import handle
from dmfs.emulator.settings import HOST

_log = logging.getLogger("dmfs.emulator")

_RECEIVE_BYTES = 64 * 1024
_RECEIVE_PART_BYTES = 1024 * 1024
_BODY_MAX_BYTES = 16 * 1024 * 1024
_BIND_AGAIN_S = 0.05


class Origin:
    """One origin: a listener that can be refused for a while, and its connections."""

    def __init__(
        self, name: str, port: int, emulator: Emulator, tls: ssl.SSLContext | None = None
    ) -> None:
        self.name = name
        self.port = port
        self._emulator = emulator
        self._tls = tls
        self._pause_s = 0.0
        self._scope = trio.CancelScope()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://{HOST}:{self.port}"

    async def open(self) -> list[trio.SocketListener]:
        listeners = await trio.open_tcp_listeners(self.port, host=HOST)
        self.port = listeners[0].socket.getsockname()[1]
        return listeners

    async def run(self, listeners: list[trio.SocketListener]) -> None:
        """Serve until cancelled; after a pause, on the same port again."""
        while True:
            with trio.CancelScope() as self._scope:
                try:
                    await self._serve(listeners)
                finally:
                    for listener in listeners:
                        listener.socket.close()
            with self._port_taken():
                await trio.sleep(self._pause_s)
                listeners = await self._open_again()

    @contextmanager
    def _port_taken(self) -> Iterator[None]:
        """Bound and not listening: connections are refused, and no other process can get the port
        meanwhile."""
        with socket.socket() as holder:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with suppress(OSError):  # it was quicker: then it is waited for
                holder.bind((HOST, self.port))
            yield

    def refuse(self, seconds: float) -> None:
        """Close the listener and drop all connections for that long."""
        self._pause_s = seconds
        self._scope.cancel()

    async def _open_again(self) -> list[trio.SocketListener]:
        while True:
            try:
                return await self.open()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                await trio.sleep(_BIND_AGAIN_S)

    async def _serve(self, listeners: list[trio.SocketListener]) -> None:
        if self._tls is None:
            await trio.serve_listeners(self._connection, listeners)
            return
        secure = [
            trio.SSLListener(listener, self._tls, https_compatible=True) for listener in listeners
        ]
        await trio.serve_listeners(self._connection, secure)

    async def _connection(self, stream: Stream) -> None:
        try:
            await _converse(self._emulator, self.name, stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError, ConnectionBroken):
            pass  # The client went away, or a fault broke the connection: both are daily life.
        except h11.RemoteProtocolError as error:
            _log.info("%s: not HTTP: %s", self.name, error)
        except Exception:  # noqa: BLE001 - one connection must not end the server
            _log.exception("%s: a connection failed", self.name)


async def _converse(emulator: Emulator, origin: str, stream: Stream) -> None:
    """Requests one after the other, until one side closes."""
    connection = h11.Connection(h11.SERVER)
    while True:
        request = await _read_request(emulator, origin, stream, connection)
        if request is None:
            return
        answer = await handle(emulator, stream, connection, request)
        if answer.after_sent is not None:
            await answer.after_sent()
        if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
            return
        connection.start_next_cycle()


def _receiver(
    emulator: Emulator, origin: str, stream: Stream, head: h11.Request
) -> Receiver | None:
    """For what may be too big to hold in memory: a part of an upload, of a known length."""
    length = dict(head.headers).get(b"content-length")
    if origin != "cdn" or head.method != b"PUT" or length is None:
        return None
    return Receiver(emulator, stream, head, int(length))


async def _read_request(
    emulator: Emulator, origin: str, stream: Stream, connection: h11.Connection
) -> Request | None:
    """The next request with its body; None at the end of the connection."""
    head: h11.Request | None = None
    receiver: Receiver | None = None
    arrived_s = 0.0
    body = bytearray()
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
                await stream.send_all(connection.send(go_on) or b"")
            wanted = _RECEIVE_BYTES if receiver is None else _RECEIVE_PART_BYTES
            connection.receive_data(bytes(await stream.receive_some(wanted)))
        elif isinstance(event, h11.Request):
            head, arrived_s = event, time.time()
            receiver = _receiver(emulator, origin, stream, event)
        elif isinstance(event, h11.Data) and receiver is not None:
            await receiver.take(bytes(event.data))
        elif isinstance(event, h11.Data):
            body += event.data
            if len(body) > _BODY_MAX_BYTES:
                raise h11.RemoteProtocolError("the request's body is too big")
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
            method, target = head.method.decode(), head.target.decode("latin-1")
            request = Request(origin, method, target, headers, bytes(body))
            request.received = receiver.done() if receiver else None
            request.arrived_s = arrived_s
            return request
        else:
            return None


async def serve(
    emulator: Emulator,
    ports: tuple[int, int],
    tls: ssl.SSLContext | None,
    ready: Callable[[], Awaitable[None]],
) -> None:
    """Both origins until cancelled. ``ready`` is called when both listen. OSError: port taken."""
    api = Origin("api", ports[0], emulator, tls)
    cdn = Origin("cdn", ports[1], emulator, tls)
    api_listeners, cdn_listeners = await api.open(), await cdn.open()
    origins = {origin.name: origin for origin in (api, cdn)}
    emulator.listening(api.url, cdn.url, lambda name, seconds: origins[name].refuse(seconds))
    async with trio.open_nursery() as nursery:

        async def wait(seconds: float, what: Later) -> None:
            await trio.sleep(seconds)
            more = what()
            if more is not None:
                await more

        emulator.service.later = lambda seconds, what: nursery.start_soon(wait, seconds, what)
        nursery.start_soon(api.run, api_listeners)
        nursery.start_soon(cdn.run, cdn_listeners)
        await ready()
