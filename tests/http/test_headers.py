"""The head of a response, line by line."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dmfs.http.headers import HEADERS_MAX_BYTES, HeaderLine, HeaderParser


def parsed(*lines: bytes) -> HeaderParser:
    parser = HeaderParser()
    for line in lines:
        parser.feed(line)
    return parser


def test_names_in_lower_case_and_values_without_blanks() -> None:
    head = parsed(b"HTTP/1.1 206 Partial Content\r\n", b'ETag:\t "a:b" \r\n', b"\r\n")
    assert (head.status, head.fields) == (206, {"etag": '"a:b"'})


def test_a_repeated_field_is_one_list() -> None:
    head = parsed(b"HTTP/1.1 200 OK\r\n", b"Via: a\r\n", b"VIA: b\r\n", b"via:c\r\n")
    assert head.fields == {"via": "a, b, c"}


def test_a_status_line_begins_another_response() -> None:
    head = parsed(b"HTTP/1.1 103 Early Hints\r\n", b"X-Old: 1\r\n", b"\r\n", b"HTTP/2 200\r\n")
    assert (head.status, head.fields) == (200, {})


def test_each_line_says_what_it_was() -> None:
    parser = HeaderParser()
    lines = (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n", b"no colon\r\n", b"\r\n")
    kinds = [parser.feed(line) for line in lines]
    assert kinds == [HeaderLine.STATUS, HeaderLine.FIELD, HeaderLine.FIELD, HeaderLine.END]
    assert parser.fields == {"a": "b"}


def test_a_status_that_is_no_number_is_none() -> None:
    for line in (
        b"HTTP/1.1\r\n",
        b"HTTP/1.1 \r\n",
        b"HTTP/1.1 twohundred\r\n",
        b"HTTP/1.1 " + b"9" * 5000,
    ):
        assert parsed(b"HTTP/1.1 200 OK\r\n", line).status == 0


def test_all_heads_of_a_transfer_share_one_limit() -> None:
    half = b"X: " + b"v" * (HEADERS_MAX_BYTES // 2 - 40)
    head = parsed(b"HTTP/1.1 103 Early\r\n", half, b"HTTP/1.1 200 OK\r\n")
    assert head.size_bytes <= HEADERS_MAX_BYTES
    head.feed(half)
    assert head.size_bytes <= HEADERS_MAX_BYTES
    head.feed(b"Y: " + b"v" * 80)
    assert head.size_bytes > HEADERS_MAX_BYTES


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_any_lines_are_taken(lines: list[bytes]) -> None:
    head = parsed(*lines)
    assert head.status >= 0
    assert all(name == name.strip().lower() for name in head.fields)
