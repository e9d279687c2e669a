"""A control socket over any routes, without a drive."""

from __future__ import annotations

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import trio

from dmfs.control.cards import Card
from dmfs.control.exchange import Exchange
from dmfs.control.routes import Routes
from dmfs.control.server import ControlServer

Answer = Callable[[Exchange], Awaitable[None]]


class FakeRoutes:
    """What a test wants to be answered."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


def card(mountpoint: str = "/mnt/x", **more: Any) -> Card:
    chosen: dict[str, Any] = {
        "mountpoint": mountpoint, "pid": 1, "started_at": "2026-01-01T00:00:00Z", "source": "/",
        "profile": "default", "version": "1",
    } | more  # fmt: skip
    return Card(**chosen)


@asynccontextmanager
async def serving(directory: Path, answer: Answer, **more: Any) -> AsyncIterator[Path]:
    """The socket's path, of a server that answers."""
    own = card(**more)
    server = ControlServer(cast(Routes, FakeRoutes(answer)), own, [directory])
    listening = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server.run, listening.set)
        await listening.wait()
        (path,) = sorted(directory.glob("*.sock"))  # noqa: ASYNC240
        yield path
        nursery.cancel_scope.cancel()


async def hello(exchange: Exchange) -> None:
    await exchange.respond_json(200, {"path": exchange.path, "body": exchange.body.decode()})


async def connect(path: Path) -> trio.SocketStream:
    return await trio.open_unix_socket(path)


async def talk(path: Path, raw: bytes, *, timeout_s: float = 20.0) -> bytes:
    """Send bytes, read to the end. What is left when the server closes first is no error."""
    got = b""
    with trio.fail_after(timeout_s):
        async with await connect(path) as stream:
            try:
                await stream.send_all(raw)
                while piece := await stream.receive_some(65536):
                    got += bytes(piece)
            except trio.BrokenResourceError:
                pass
    return got


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


def json_of(answer: bytes) -> Any:
    return json.loads(answer.partition(b"\r\n\r\n")[2])


GET = b"GET /v1/status HTTP/1.1\r\nHost: d\r\n\r\n"


def connected(path: Path) -> socket.socket:
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.connect(str(path))
    return client
