"""HTTP becomes a DriveError: all shapes, no secrets, one readable line."""

from __future__ import annotations

import errno
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dmfs.errors
from dmfs.errors import (
    AccessError,
    BadResponseError,
    BusyError,
    CertificateError,
    DriveError,
    GoneError,
    LockedError,
    TokenRefusedError,
    UnreachableError,
)
from dmfs.http.client import CertificateRejectedError, NestedEncodingError, TransportError
from dmfs.http.errormap import clean, explain, from_status, from_transport, retry_after_s

JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzY29wZSI6WyJkYXRhOnJlYWQiXX0.c2lnbmF0dXJl-_x"


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"jsonapi": {"version": "1.0"}, "errors": [{"status": "404", "code": "FOLDER_NOT_FOUND",
          "detail": "ApiError Folder not found"}]}, "ApiError Folder not found"),
        ({"errors": [{"title": "T", "code": "C"}]}, "T"), ({"errors": [{"code": "C"}]}, "C"),
        ({"errors": []}, ""), ({"errors": ["x"]}, ""), ({"errors": [{}]}, ""),
        ({"developerMessage": "Quota limit exceeded."}, "Quota limit exceeded."),
        ({"developerMessage": "", "errorCode": "AUTH-001", "more info": "x"}, "AUTH-001"),
        ({"reason": "Object not found"}, "Object not found"),
        ({"error": "invalid_grant", "error_description": "expired"}, "expired"),
        ({"error": "invalid_grant"}, "invalid_grant"),
        ({"title": "t", "detail": "d"}, "d"), ({"reason": 5, "detail": ["x"]}, ""), ([1], ""),
    ],
)  # fmt: skip
def test_every_shape_of_json(body: Any, text: str) -> None:
    assert explain(json.dumps(body).encode()) == text


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ((b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Request has expired"
         b"</Message></Error>"), "Request has expired"),
        (b"<Error/>", ""), (b"", ""), (b"plain text", ""), (b"\xff\xfe\x00", ""),
        (b"  <!DOCTYPE html><html>", "an HTML page"), (b"<HTML><body>x", "an HTML page"),
        (b"[" * 100_000, ""), (b'{"reason": "' + b"x" * 200_000 + b'"}', ""),
    ],
)  # fmt: skip
def test_markup_and_rubbish(body: bytes, text: str) -> None:
    assert explain(body).startswith(text)
    assert bool(explain(body)) == bool(text)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (401, TokenRefusedError, errno.EACCES), (403, AccessError, errno.EACCES),
        (423, LockedError, errno.EACCES), (404, GoneError, errno.ESTALE),
        (410, GoneError, errno.ESTALE), (429, BusyError, errno.EBUSY),
        (408, UnreachableError, errno.EIO), (500, UnreachableError, errno.EIO),
        (503, UnreachableError, errno.EIO), (599, UnreachableError, errno.EIO),
        (400, BadResponseError, errno.EIO), (302, BadResponseError, errno.EIO),
        (416, BadResponseError, errno.EIO),
    ],
)  # fmt: skip
def test_every_status(status: int, kind: type[DriveError], code: int) -> None:
    error = from_status("list folder 'Plans'", status, b'{"reason": "because"}')
    assert type(error) is kind
    assert error.errno == code
    assert error.message == f"cannot list folder 'Plans': HTTP {status} (because)"


def test_an_inactive_project_has_its_own_hint() -> None:
    body = b'{"errors": [{"detail": "Project is not active: b.1"}]}'
    assert "archived" in from_status("x", 403, body).hint
    assert "admin" in from_status("x", 403, b"").hint


@pytest.mark.parametrize(
    "secret",
    [
        f"Bearer {JWT}", f"bearer {JWT}", JWT, "Bearer abc.def~/+=",
        "https://s3.amazonaws.com/x?X-Amz-Date=1&X-Amz-Signature=deadbeef",
        "http://cdn/x?Signature=abc__&Key-Pair-Id=K", "X-Amz-Signature=deadbeef",
        "client_secret=hunter2", "access_token=hunter2&x", "refresh_token=hunter2",
    ],
)  # fmt: skip
def test_secrets_are_scrubbed_wherever_they_stand(secret: str) -> None:
    for text in (secret, f"before {secret} after", f"({secret})", f"\n\t{secret}\x00"):
        lines = [
            clean(text),
            from_status("x", 403, json.dumps({"reason": text}).encode()).message,
            from_status("x", 500, json.dumps({"errors": [{"detail": text}]}).encode()).message,
            from_transport("x", TransportError(text)).message,
        ]
        for line in lines:
            for part in (JWT, "eyJ", "deadbeef", "hunter2", "abc__", "abc.def", "amazonaws"):
                assert part not in line, (text, line)


@given(st.text(st.characters(exclude_categories=())))
def test_clean_is_one_short_printable_line(text: str) -> None:
    line = clean(text)
    assert len(line) <= 200
    assert line.isprintable()
    assert "\n" not in line


@given(st.binary(max_size=300), st.integers(100, 599))
def test_any_body_of_any_status_makes_a_line(body: bytes, status: int) -> None:
    error = from_status("x", status, body)
    assert error.message.isprintable()
    assert len(error.message) < 300


def test_terminal_escapes_do_not_get_through() -> None:
    assert "\x1b" not in clean("\x1b[2J\x1b]0;owned\x07text")
    assert "\u202e" not in clean("abc\u202egpj.exe")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("0", 0), (" 12 ", 12), ("1.5", 1.5), ("999999", 3600), ("", None), ("-1", None),
     ("soon", None), ("Wed, 21 Oct 2015 07:28:00 GMT", None), ("1e9", None), ("inf", None)],
)  # fmt: skip
def test_retry_after(value: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": value}) == seconds
    assert retry_after_s({}) is None


def test_every_error_has_its_errno_and_a_twin_of_its_own() -> None:
    kinds = [
        kind for kind in vars(dmfs.errors).values()
        if isinstance(kind, type) and issubclass(kind, DriveError)
    ]  # fmt: skip
    assert len(kinds) > 12
    for kind in kinds:
        assert kind.errno in errno.errorcode
        error = kind("what", hint="how")
        twin = error.copy()
        assert type(twin) is kind
        assert (twin.message, twin.hint, str(twin)) == ("what", "how", "what")
        assert twin is not error
        assert twin.__cause__ is error


@pytest.mark.parametrize(
    ("headers", "body", "number"),
    [
        ({"x-request-id": "a-1"}, b"", "a-1"),
        ({"x-ads-request-id": "b-2"}, b"", "b-2"),
        ({"x-amz-request-id": "C3", "x-amz-cf-id": "D4=="}, b"<Error/>", "C3"),
        ({"x-amz-cf-id": "D4_=="}, b"", "D4_=="),
        ({}, b'{"errors": [{"id": "9f-e5", "status": "404"}]}', "9f-e5"),
        ({"x-request-id": "forged\nline"}, b'{"errors": [{"id": "9f-e5"}]}', "9f-e5"),
        ({}, b'{"errors": [{"id": "two words"}]}', ""),
        ({}, b'{"errors": [{"id": 5}]}', ""),
        ({}, b'{"errors": []}', ""),
        ({}, b"[" * 60_000, ""),
        ({}, b'"errors"', ""),
    ],
)
def test_the_services_own_number_of_a_request(
    headers: dict[str, str], body: bytes, number: str
) -> None:
    assert from_status("list hubs", 404, body, headers).request_id == number


@pytest.mark.parametrize(
    ("error", "kind"),
    [(TransportError("x"), UnreachableError), (CertificateRejectedError("x"), CertificateError),
     (TransportError("CERTIFICATE"), UnreachableError), (NestedEncodingError(), BadResponseError)],
)  # fmt: skip
def test_a_transport_error_is_mapped_by_its_type(
    error: TransportError | NestedEncodingError, kind: type[DriveError]
) -> None:
    assert type(from_transport("list hubs", error)) is kind
