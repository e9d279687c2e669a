"""A storage that takes parts over HTTP/1.1, and behaves as a test wants."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import trio

CHUNK = 256 * 1024


class Received:
    """A PUT, as far as it has come."""

    def __init__(self, stream: trio.SocketStream, head: bytes, rest: bytes) -> None:
        self.stream = stream
        lines = head.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        self.length = int(self.fields.get("content-length", "-1"))
        self.count = 0
        self.md5 = hashlib.md5(usedforsecurity=False)
        self.body = b""
        """Of small parts."""
        self._take(rest)

    def _take(self, some: bytes) -> None:
        self.count += len(some)
        self.md5.update(some)
        if self.length <= CHUNK:
            self.body += some

    async def read(self, stop: int | None = None) -> None:
        """Until so many bytes have come, or all."""
        stop = self.length if stop is None else stop
        while self.count < stop:
            some = await self.stream.receive_some(CHUNK)
            if not some:
                raise trio.BrokenResourceError
            self._take(bytes(some))

    async def say(
        self, status: str, body: bytes = b"", fields: Mapping[str, str] | None = None
    ) -> None:
        lines = {"Content-Length": str(len(body))} | dict(fields or {})
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        await self.stream.send_all(f"HTTP/1.1 {status}\r\n{text}\r\n".encode() + body)


Behaviour = Callable[[Received], Awaitable[None]]


async def take(put: Received) -> None:
    """As S3 does."""
    await put.read()
    await put.say("200 OK", fields={"ETag": f'"{put.md5.hexdigest()}"'})


class Storage:
    """Behaviours by path; ``take`` for all others."""

    def __init__(self) -> None:
        self.port = self.connections = self.busy = self.most_busy = 0
        self.behaviours: dict[str, Behaviour] = {}
        self.puts: list[Received] = []

    def url(self, path: str = "/part?sig=s3cret") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        try:
            while True:
                head = b""
                while b"\r\n\r\n" not in head:
                    some = await stream.receive_some(CHUNK)
                    if not some:
                        return
                    head += bytes(some)
                head, _, rest = head.partition(b"\r\n\r\n")
                put = Received(stream, head, rest)
                self.puts.append(put)
                await self._answer(put)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it went away, or we did
        finally:
            await trio.aclose_forcefully(stream)

    async def _answer(self, put: Received) -> None:
        path = put.line.split()[1].partition("?")[0]
        self.busy += 1
        self.most_busy = max(self.most_busy, self.busy)
        try:
            await self.behaviours.get(path, take)(put)
        finally:
            self.busy -= 1


@asynccontextmanager
async def open_storage() -> AsyncIterator[Storage]:
    """On a free port, until the body ends."""
    storage = Storage()
    async with trio.open_nursery() as nursery:
        listeners: list[trio.SocketListener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        # small: what the storage does not read stays with the sender
        listeners[0].socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_RCVBUF, 64 * 1024)
        storage.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, storage.serve, listeners)
        yield storage
        nursery.cancel_scope.cancel()
