"""What the storage says to a part, and what that means."""

from __future__ import annotations

import pytest
import trio

from dmfs.errors import (
    BadResponseError,
    BusyError,
    DriveError,
    UnreachableError,
    UrlRefusedError,
)
from dmfs.write.parts.put import Put
from dmfs.write.parts.slices import FileSlice
from tests.support.helpers import real
from tests.write.parts.parts import MIB, part, sending
from tests.write.parts.storage import Received


@pytest.mark.parametrize(
    ("header", "etag"),
    [('"abc"', "abc"), ('W/"abc"', "abc"), ("abc", "abc"), (None, ""), ('"a-2"', "a-2")],
)  # fmt: skip
def test_etags(header: str | None, etag: str) -> None:
    async def say(put: Received) -> None:
        await put.read()
        await put.say("200 OK", fields={"ETag": header} if header else {})

    @real
    async def body() -> None:
        async with sending() as (sender, storage):
            storage.behaviours["/part"] = say
            assert await sender.put(part(storage.url(), b"abc")) == etag

    body()


def xml(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>so</Message></Error>".encode()


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        ("403 Forbidden", xml("AccessDenied"), UrlRefusedError),
        ("403 Forbidden", xml("RequestTimeTooSkewed"), UrlRefusedError),
        ("503 Slow Down", xml("SlowDown"), BusyError), ("503 Busy", b"", BusyError),
        ("500 Oh", xml("InternalError"), BusyError), ("429 Much", b"", BusyError),
        ("400 Bad", xml("RequestTimeout"), UnreachableError),
        ("400 Bad", xml("BadDigest"), BadResponseError), ("400 Bad", b"", BadResponseError),
        ("404 No", xml("NoSuchUpload"), BadResponseError), ("411 No", b"", BadResponseError),
        ("502 Bad", b"<html>", UnreachableError), ("504 Late", b"", UnreachableError),
        ("303 See", b"", BadResponseError), ("307 There", b"", BadResponseError),
        ("400 Bad", b"x" * 100_000, BadResponseError), ("501 No", xml("x"), UnreachableError),
    ],
)  # fmt: skip
def test_what_an_answer_means(status: str, body: bytes, kind: type[DriveError]) -> None:
    async def refuse(put: Received) -> None:
        await put.read()
        await put.say(status, body, {"x-amz-request-id": "R1", "Retry-After": "3"})

    @real
    async def run() -> None:
        async with sending() as (sender, storage):
            storage.behaviours["/part"] = refuse
            with pytest.raises(DriveError) as caught:
                await sender.put(part(storage.url(), b"abc"))
            error = caught.value
            assert type(error) is kind
            assert (error.status, error.request_id) == (int(status[:3]), "R1")
            assert "s3cret" not in error.message + error.hint
            assert error.message.startswith("cannot save 'a.dwg': HTTP ")
            await sender.put(part(storage.url("/next"), b"abc"))  # it goes on

    run()


@real
async def test_an_answer_before_the_bytes_is_that_answer(descriptor: int) -> None:
    async def refuse(put: Received) -> None:
        await put.say("403 Forbidden", xml("AccessDenied"), {"Connection": "close"})
        await trio.sleep(0.1)
        await put.stream.aclose()

    async with sending() as (sender, storage):
        storage.behaviours["/refuse"] = refuse
        whole = FileSlice(descriptor, 0, 8 * MIB)
        with pytest.raises(UrlRefusedError):
            await sender.put(part(storage.url("/refuse"), whole, whole, whole))


def test_a_success_before_all_bytes_is_none() -> None:
    put = Put(part("http://localhost/", b"abc"), lambda _: None, lambda _: None)
    put.on_read(2)
    for line in (b"HTTP/1.1 200 OK\r\n", b'ETag: "early"\r\n', b"\r\n"):
        put.on_header(line)
    put.finish(0, "")
    assert isinstance(put.error, BadResponseError)
    assert put.etag == ""


@pytest.mark.parametrize(
    "line", [b"ETag: " + b"x" * 2000, b'ETag: "a\x01b"', b"X: " + b"x" * 70_000]
)
def test_a_head_that_is_too_much(line: bytes) -> None:
    put = Put(part("http://localhost/"), lambda _: None, lambda _: None)
    for each in (b"HTTP/1.1 200 OK\r\n", line, b"\r\n"):
        put.on_header(each)
    put.finish(0, "")
    assert isinstance(put.error, BadResponseError)
