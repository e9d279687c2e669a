"""Uploads to a real S3 server, for ``presign``: it has the sessions and the parts, and joins them.

The emulator begins and completes them there, as the service does at its own storage; clients get
presigned URLs and never see this server's ids.
"""

from __future__ import annotations

import http.client
import math
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import trio

from dmfs.emulator.api.s3_presign import presigned
from dmfs.emulator.http import errors
from dmfs.emulator.http.errors import Refusal
from dmfs.emulator.settings import S3Place
from dmfs.emulator.world.content import Content
from dmfs.emulator.world.ids import split_storage_id
from dmfs.emulator.writing.uploads import Part, Session

_PIECE_BYTES = 1024 * 1024
_TIMEOUT_S = 60.0
_OWN_TTL_S = 300
Params = list[tuple[str, str]]


class _Reply(NamedTuple):
    status: int
    etag: str
    length: int
    body: bytes


class Elsewhere:
    """Bytes of an object that the other server has. Reading blocks: do it in a thread."""

    def __init__(self, place: S3Place, key: str, start: int, size: int) -> None:
        self._place, self._key, self._start, self._size = place, key, start, size

    @property
    def size(self) -> int:
        return self._size

    @property
    def is_ready(self) -> bool:
        return True

    def pieces(self, start: int, stop: int) -> Iterator[memoryview]:
        """One GET, read as its bytes are wanted."""
        stop = min(stop, self._size)
        if start >= stop:
            return
        first, last = self._start + start, self._start + stop - 1
        connection, target = _connect(self._place, "GET", self._key, [])
        try:
            connection.request("GET", target, headers={"Range": f"bytes={first}-{last}"})
            reply = connection.getresponse()
            left = stop - start
            while left:
                piece = reply.read(min(_PIECE_BYTES, left)) if reply.status == 206 else b""
                if not piece:
                    raise OSError(f"S3 sent {stop - start - left} of {stop - start} bytes")
                left -= len(piece)
                yield memoryview(piece)
        finally:
            connection.close()


async def part_urls(
    place: S3Place, session: Session, numbers: Iterable[int], ttl_s: float
) -> list[str]:
    """A URL to PUT each part to; of a session of one part, to PUT the object itself to."""
    key = _key(session)
    if session.is_multipart and not session.s3_id:
        reply = await _ask(place, "POST", key, [("uploads", "")])
        session.s3_id = _texts(reply.body, "UploadId")[0]
    params: list[Params] = [[]] if not session.is_multipart else [
        [("partNumber", str(number)), ("uploadId", session.s3_id)] for number in numbers
    ]  # fmt: skip
    return [
        presigned(place, key, method="PUT", now_s=time.time(), ttl_s=math.ceil(ttl_s), params=each)
        for each in params
    ]


async def look(place: S3Place, session: Session) -> None:
    """Enter the parts that have arrived there."""
    key = _key(session)
    if not session.is_multipart:
        reply = await _ask(place, "HEAD", key, [], allowed=(404,))
        if reply.status != 404:
            session.parts = {1: Part(Elsewhere(place, key, 0, reply.length), reply.etag)}
        return
    reply = await _ask(place, "GET", key, [("uploadId", session.s3_id), ("max-parts", "10000")])
    numbers, sizes = _texts(reply.body, "PartNumber"), _texts(reply.body, "Size")
    rows = zip(numbers, sizes, _texts(reply.body, "ETag"), strict=True)
    start = 0
    session.parts = {}
    for number, size, etag in sorted((int(n), int(s), e.strip('"')) for n, s, e in rows):
        session.parts[number] = Part(Elsewhere(place, key, start, size), etag)
        start += size


async def join(place: S3Place, session: Session) -> Content:
    """The parts become the object."""
    key = _key(session)
    if session.is_multipart:
        rows = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{part.etag}</ETag></Part>"
            for number, part in sorted(session.parts.items())
        )
        body = f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()
        reply = await _ask(place, "POST", key, [("uploadId", session.s3_id)], body)
        if b"<CompleteMultipartUploadResult" not in reply.body:  # a failure can be a 200
            raise Refusal(errors.oss(500, "The storage did not join the parts"))
    return Elsewhere(place, key, 0, session.size_bytes)


def _key(session: Session) -> str:
    return split_storage_id(session.placeholder.urn)[1]


def _connect(
    place: S3Place, method: str, key: str, params: Params
) -> tuple[http.client.HTTPConnection, str]:
    """A connection, and the signed target of the request to make on it."""
    url = presigned(place, key, method=method, now_s=time.time(), ttl_s=_OWN_TTL_S, params=params)
    at = urlsplit(url)
    secure = at.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    return kind(at.netloc, timeout=_TIMEOUT_S), f"{at.path}?{at.query}"


async def _ask(
    place: S3Place, method: str, key: str, params: Params, body: bytes = b"",
    *, allowed: tuple[int, ...] = (),
) -> _Reply:  # fmt: skip
    """Its answer; our 500 where it is none of the expected ones."""

    def call() -> _Reply:
        connection, target = _connect(place, method, key, params)
        try:
            connection.request(method, target, body or None)
            reply = connection.getresponse()
            tag = reply.headers.get("ETag", "").strip('"')
            length = int(reply.headers.get("Content-Length", 0))
            return _Reply(reply.status, tag, length, reply.read())
        finally:
            connection.close()

    reply = await trio.to_thread.run_sync(call, abandon_on_cancel=True)
    if reply.status >= 300 and reply.status not in allowed:
        raise Refusal(errors.oss(500, f"The storage answers {method} with {reply.status}"))
    return reply


def _texts(document: bytes, name: str) -> list[str]:
    """Of all elements of that name, whatever their namespace."""
    root = ET.fromstring(document)  # noqa: S314 - of the server that the setting names
    return [each.text or "" for each in root.iter() if each.tag.rpartition("}")[2] == name]
