"""One HTTP/1.1 request and its answer on an open stream, with h11. Knows nothing of drives."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import h11
import trio

REQUEST_MAX_BYTES = 64 * 1024
"""Of a request with its body."""
_PIECE_BYTES = 16 * 1024
REQUEST_S = 10.0
"""For a request to arrive."""
WRITE_S = 60.0
"""For a reader to take a piece of the answer: one that was stopped is let go then."""


class BadRequestError(Exception):
    """What came is no request that can be answered; ``status`` says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Exchange:
    """``read`` the request, then ``respond``, or ``begin`` and ``write`` lines."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._connection = h11.Connection(h11.SERVER, max_incomplete_event_size=REQUEST_MAX_BYTES)
        self.method = self.path = self.query = ""
        self.body = b""

    async def read(self) -> bool:
        """The whole request; False if the other side went without one. BadRequestError."""
        received = 0
        with trio.move_on_after(REQUEST_S):
            while True:
                try:
                    event = self._connection.next_event()
                except h11.RemoteProtocolError as error:
                    raise BadRequestError(error.error_status_hint, "that is no request") from None
                if event is h11.NEED_DATA:
                    piece = bytes(await self._stream.receive_some(_PIECE_BYTES))
                    received += len(piece)
                    if received > REQUEST_MAX_BYTES:
                        raise BadRequestError(413, "the request is too long")
                    self._connection.receive_data(piece)
                elif isinstance(event, h11.Request):
                    self.method = event.method.decode("latin-1")
                    self.path, _, self.query = event.target.decode("latin-1").partition("?")
                    await self._allow_body(event)
                elif isinstance(event, h11.Data):
                    self.body += bytes(event.data)
                else:
                    return isinstance(event, h11.EndOfMessage)
        raise BadRequestError(408, "the request did not arrive")

    async def _allow_body(self, request: h11.Request) -> None:
        if any(name == b"expect" for name, _ in request.headers):
            headers: list[tuple[str, str]] = []
            await self._send(h11.InformationalResponse(status_code=100, headers=headers))

    async def respond(self, status: int, content_type: str, body: bytes) -> None:
        """The whole answer."""
        every = [
            ("Content-Type", content_type),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ]
        await self._send(h11.Response(status_code=status, headers=every))
        if self.method != "HEAD":
            await self._send(h11.Data(data=body))
        await self._send(h11.EndOfMessage())

    async def respond_json(self, status: int, value: Any) -> None:
        """The whole answer, for programs."""
        body = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        await self.respond(status, "application/json", body)

    async def refuse(self, status: int, message: str, hint: str = "") -> None:
        """The whole answer, where there is none."""
        await self.respond_json(status, {"error": {"message": message, "hint": hint}})

    async def begin(self) -> None:
        """An answer of lines, each a JSON object (NDJSON), whose end is not known."""
        headers = [
            ("Content-Type", "application/x-ndjson"),
            ("Cache-Control", "no-store"),
            ("Connection", "close"),
        ]
        await self._send(h11.Response(status_code=200, headers=headers))

    async def write(self, value: Mapping[str, Any]) -> None:
        """One line."""
        line = json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogatepass") + b"\n"
        await self._send(h11.Data(data=line))

    async def end(self) -> None:
        """After the last line."""
        await self._send(h11.EndOfMessage())

    async def wait_for_end(self) -> None:
        """Until the other side is gone. What it sends meanwhile is thrown away."""
        while await self._stream.receive_some(_PIECE_BYTES):
            pass

    async def _send(self, event: Any) -> None:
        """trio.BrokenResourceError also for a reader that takes nothing for WRITE_S."""
        data = self._connection.send(event)
        if not data:
            return
        with trio.move_on_after(WRITE_S) as scope:
            await self._stream.send_all(data)
        if scope.cancelled_caught:
            raise trio.BrokenResourceError("nobody reads the answer")
