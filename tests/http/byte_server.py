"""An HTTP server that sends exactly what a test wants, byte by byte."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import trio

Reply = Callable[[trio.SocketStream, bytes], Awaitable[None]]


class ByteServer:
    """Hands every request's head to ``reply``; counts connections and what is under way."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.port = 0
        self.heads: list[bytes] = []
        self.connections = self.open = self.most_open = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            head = b""
            while True:
                while b"\r\n\r\n" not in head:
                    some = await stream.receive_some()
                    if not some:
                        return
                    head += bytes(some)
                self.heads.append(head)
                await self._reply(stream, head)
                head = b""
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it went away, or we did
        finally:
            self.open -= 1
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def byte_server(reply: Reply) -> AsyncIterator[ByteServer]:
    """A server on a free port, until the body ends."""
    server = ByteServer(reply)
    async with trio.open_nursery() as nursery:
        listeners: list[trio.SocketListener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, server.serve, listeners)
        yield server
        nursery.cancel_scope.cancel()


def saying(
    body: bytes = b"{}", status: str = "200 OK", headers: Mapping[str, str] | None = None
) -> Reply:
    lines = {"Content-Length": str(len(body))} | dict(headers or {})
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    whole = f"HTTP/1.1 {status}\r\n{text}\r\n".encode() + body

    async def reply(stream: trio.SocketStream, _head: bytes) -> None:
        await stream.send_all(whole)

    return reply
