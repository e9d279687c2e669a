"""Requests and answers as handlers see them."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote

from dmfs.emulator.world.content import Content, Literal


@dataclass(frozen=True, slots=True)
class Received:
    """A body that was too big to hold in memory, and its MD5 in hex."""

    content: Content
    md5: str


@dataclass(slots=True)
class Request:
    """A parsed request. ``segments`` are the raw path's parts, percent-decoded one by one."""

    origin: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    path: str = ""
    query_text: str = ""
    segments: list[str] = field(default_factory=list)
    query: dict[str, str] = field(default_factory=dict)
    client_id: str = ""
    """Empty until a token or a signature has been checked."""
    received: Received | None = None
    arrived_s: float = field(default_factory=time.time)
    """When its head was read."""
    called_s: float = 0.0
    """When the service began to work on it."""
    fault: str | None = None
    """The kind of the fault that applies to it, for handlers that take part in it."""
    delivered: list[Callable[[], None]] = field(default_factory=list)
    """Called when the true answer has been handed over, and only then."""
    user_id: str = ""

    def __post_init__(self) -> None:
        self.path, _, self.query_text = self.target.partition("?")
        self.segments = [_decode(part) for part in self.path.split("/")[1:]]
        self.query = dict(parse_qsl(self.query_text, keep_blank_values=True))

    def number(self, key: str, default: int) -> int:
        """A query parameter as an integer; ValueError if it is something else."""
        return int(self.query.get(key, default))

    def form(self) -> dict[str, str]:
        """The body as an HTML form."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def flag(self, key: str) -> bool:
        return self.query.get(key, "").lower() == "true"


def _decode(part: str) -> str:
    return unquote(part, errors="surrogateescape")


@dataclass(slots=True)
class Answer:
    """Status, headers and a body: ``content[start:stop]``, or ``flow`` of unknown length."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    content: Content | None = None
    start: int = 0
    stop: int = 0
    flow: AsyncIterator[bytes] | None = None
    after_sent: Callable[[], Awaitable[None]] | None = None
    head_only: bool = False
    date_offset_s: float = 0.0

    @property
    def length(self) -> int:
        return self.stop - self.start

    def body(self) -> bytes:
        """The body in one piece, for faults that damage it."""
        return b"" if self.content is None else b"".join(self.content.pieces(self.start, self.stop))

    def set_body(self, body: bytes, content_type: str | None = None) -> None:
        self.content, self.start, self.stop = Literal(body), 0, len(body)
        if content_type:
            self.headers["Content-Type"] = content_type


def json_answer(body: Any, status: int = 200, content_type: str = "application/json") -> Answer:
    """JSON. Escaped to ASCII, because real answers may spell lone surrogates and NULs."""
    return bytes_answer(json.dumps(body).encode(), content_type, status)


def bytes_answer(body: bytes, content_type: str, status: int = 200) -> Answer:
    answer = Answer(status)
    answer.set_body(body, content_type)
    return answer
