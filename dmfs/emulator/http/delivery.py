"""How an answer is put on the wire.

A handler makes an :class:`Answer`; a fault may change it or the :class:`Delivery` that goes with
it; :func:`deliver` writes it. Framing is h11's as long as the answer is honest; a delivery that
breaks off writes the head by h11 and then leaves the connection in ruins, on purpose.
"""

from __future__ import annotations

import math
import socket
import struct
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass

import h11
import trio

from dmfs.emulator.http.line import STEP_BYTES
from dmfs.emulator.http.messages import Answer
from dmfs.emulator.world import times

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]

CHUNK_BYTES = 1024 * 1024
"""A chunk at full speed; between chunks other tasks get their turn."""
_PACED_CHUNK_MIN_BYTES, _PACED_CHUNK_MAX_BYTES = 64 * 1024, 256 * 1024
"""A paced chunk grows with what went before it: a small object comes as a link brings it, and a
long stream costs this server 1.3 CPU-s a GiB, where 64 KiB throughout cost 2.1."""
_ONE_SEND_BYTES = 128 * 1024
_REASONS = {
    200: "OK", 201: "Created", 206: "Partial Content", 302: "Found", 304: "Not Modified",
    400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found",
    405: "Method Not Allowed", 409: "Conflict", 411: "Length Required",
    415: "Unsupported Media Type", 416: "Range Not Satisfiable", 423: "Locked",
    429: "Too Many Requests",
    500: "Internal Server Error", 502: "Bad Gateway", 503: "Service Unavailable",
    504: "Gateway Timeout",
}  # fmt: skip


@dataclass(slots=True)
class Delivery:
    """How an answer travels: normally at once and whole.

    ``cut_after``: after that many body bytes comes ``cut_how``: ``rst``, ``fin`` or ``stall``
    (for ``stall_s`` seconds, None = for ever; then the rest).
    """

    delay_s: float = 0.0
    reset_before_headers: bool = False
    cut_after: int | None = None
    cut_how: str = "rst"
    stall_s: float | None = None
    rate_bytes_per_s: float = 0.0
    carry: Callable[[int], Awaitable[None]] | None = None
    """Waits until the line that all share has taken so many bytes."""
    sent_bytes: int = 0
    """Body bytes handed to the socket so far; counted even if the client goes away."""

    @property
    def is_plain(self) -> bool:
        return self.cut_after is None and not self.rate_bytes_per_s and self.carry is None


class ConnectionBroken(Exception):
    """The connection is unusable (we reset it, or the client went away)."""


def raw_socket(stream: Stream) -> trio.socket.SocketType:
    if isinstance(stream, trio.SSLStream):
        return stream.transport_stream.socket
    return stream.socket


def reset_connection(stream: Stream) -> None:
    """RST instead of FIN: lingering for zero seconds throws away what was not sent."""
    sock = raw_socket(stream)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def deliver(
    stream: Stream, connection: h11.Connection, answer: Answer, delivery: Delivery
) -> None:
    """Write the answer; counts in ``delivery.sent_bytes``. Raises ConnectionBroken after a cut."""
    if delivery.delay_s:
        await trio.sleep(delivery.delay_s)
    if delivery.reset_before_headers:
        reset_connection(stream)
        raise ConnectionBroken
    head = _head(connection, answer)
    content = None if answer.head_only or answer.status == 304 else answer.content
    if answer.flow is not None:
        await stream.send_all(head)
        async for chunk in answer.flow:
            for part in _framed(connection, [memoryview(chunk)]):
                await _send(stream, part, delivery)
    elif content is not None and answer.length <= _ONE_SEND_BYTES and delivery.is_plain:
        body = b"".join(content.pieces(answer.start, answer.stop))
        # One packet instead of two: most calls are this small.
        await stream.send_all(head + (connection.send(h11.Data(data=body)) or b""))
        delivery.sent_bytes = len(body)
    else:
        await stream.send_all(head)
        pieces = () if content is None else content.pieces(answer.start, answer.stop)
        await _send_body(stream, _framed(connection, pieces), answer.length, delivery)
    end = connection.send(h11.EndOfMessage())
    if end:
        await stream.send_all(end)


def _head(connection: h11.Connection, answer: Answer) -> bytes:
    date = times.http_date(time.time() + answer.date_offset_s)
    headers = [("Date", date), *answer.headers.items()]
    if answer.flow is not None:
        headers.append(("Transfer-Encoding", "chunked"))
    elif answer.status != 304 and "Content-Length" not in answer.headers:
        headers.append(("Content-Length", str(answer.length)))
    reason = _REASONS.get(answer.status, "").encode()
    head = connection.send(h11.Response(status_code=answer.status, headers=headers, reason=reason))
    assert head is not None
    return head


def _framed(connection: h11.Connection, pieces: Iterable[memoryview]) -> Iterator[memoryview]:
    """A body as it goes over the wire. h11 keeps account of the framing, of a piece at a time and
    not of each chunk, and hands our bytes through uncopied."""
    for piece in pieces:
        # (its stubs know only bytes)
        for part in connection.send_with_data_passthrough(h11.Data(data=piece)) or ():  # type: ignore[arg-type]
            yield memoryview(part)


async def _send(stream: Stream, data: memoryview, delivery: Delivery) -> None:
    """Send body bytes and count them as they go out, for the client may leave at any moment."""
    if isinstance(stream, trio.SSLStream):
        await stream.send_all(data)
        delivery.sent_bytes += len(data)
        return
    while data:
        try:
            count = await stream.socket.send(data)
        except OSError as error:
            raise trio.BrokenResourceError from error
        delivery.sent_bytes += count
        data = data[count:]


async def _send_body(
    stream: Stream, parts: Iterable[memoryview], length: int, delivery: Delivery
) -> None:
    """The body in chunks, paced and cut as the delivery says."""
    cut_at = None if delivery.cut_after is None else min(delivery.cut_after, length)
    rate = delivery.rate_bytes_per_s
    began = trio.current_time()
    for part in parts:
        at = 0
        while at < len(part):
            stop = min(at + _step_bytes(delivery), len(part))
            if cut_at is not None:
                stop = min(stop, at + cut_at - delivery.sent_bytes)
            if stop > at:
                if delivery.carry is not None:
                    await delivery.carry(stop - at)
                await _send(stream, part[at:stop], delivery)
            at = stop
            if delivery.sent_bytes == cut_at:
                await _cut(stream, delivery)
                cut_at = None
            if rate:
                await trio.sleep_until(began + delivery.sent_bytes / rate)
    if cut_at is not None:
        await _cut(stream, delivery)


def _step_bytes(delivery: Delivery) -> int:
    """How much of a body goes out before other tasks have their turn."""
    rate = delivery.rate_bytes_per_s
    if delivery.carry is not None:
        return STEP_BYTES
    if not rate:
        return CHUNK_BYTES
    grown = min(max(_PACED_CHUNK_MIN_BYTES, delivery.sent_bytes // 8), _PACED_CHUNK_MAX_BYTES)
    return max(1, min(grown, int(rate / 20)))


async def _cut(stream: Stream, delivery: Delivery) -> None:
    if delivery.cut_how == "stall":
        await trio.sleep(math.inf if delivery.stall_s is None else delivery.stall_s)
        return
    if delivery.cut_how == "rst":
        # Let what was sent arrive first: a reset throws away what the peer has not read.
        await trio.sleep(0.05)
        reset_connection(stream)
    else:
        await stream.aclose()
    raise ConnectionBroken
