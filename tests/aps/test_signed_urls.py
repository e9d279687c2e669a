"""Signed URLs: whole, in chunks, and answers that do not cover the object."""

from __future__ import annotations

from typing import Any

import pytest

from dmfs.aps.signed_urls import bucket_and_key, decode_signed
from dmfs.errors import BadResponseError
from dmfs.model import SignedRange, StorageId
from tests.support.answers import STORAGE


def test_signed_complete_and_fallback() -> None:
    signed = decode_signed(
        {"status": "complete", "url": "https://u", "size": 5, "sha1": "AB" * 20}, "x", 9.0
    )
    assert (signed.size_bytes, signed.sha1, signed.expires_at) == (5, "ab" * 20, 9.0)
    assert signed.parts == (SignedRange(0, 5, "https://u"),)
    signed = decode_signed({"status": "fallback", "url": "https://u", "size": 0}, "x", 9.0)
    assert (signed.size_bytes, signed.sha1) == (0, "")
    assert decode_signed({"url": "u", "size": 1, "sha1": "no"}, "x", 0).sha1 == ""


def test_signed_chunked_in_any_order() -> None:
    urls = {"10-14": "https://c", "0-4": "https://a", "5-9": "https://b"}
    signed = decode_signed({"status": "chunked", "urls": urls, "size": 15}, "x", 0)
    assert [(p.start, p.stop, p.url) for p in signed.parts] == [
        (0, 5, "https://a"), (5, 10, "https://b"), (10, 15, "https://c"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "urls",
    [
        {"0-4": "u", "6-14": "u"}, {"0-5": "u", "5-14": "u"}, {"1-14": "u"}, {"0-13": "u"},
        {"0-15": "u"}, {"0-4": "u", "0-14": "u"}, {"0-": "u"}, {"x": "u"}, {"0-14": 5}, {},
        {"-1-14": "u"}, {"0-14": None}, {"5-3": "u", "0-14": "u"},
    ],
)  # fmt: skip
def test_chunks_with_gaps_or_overlaps_are_refused(urls: Any) -> None:
    with pytest.raises(BadResponseError):
        decode_signed({"status": "chunked", "urls": urls, "size": 15}, "x", 0)


@pytest.mark.parametrize(
    "answer",
    [{}, {"url": "u"}, {"url": "u", "size": "5"}, {"url": "u", "size": -1}, {"size": 5},
     {"url": "u", "size": True}, {"url": "u", "size": 1.5}, {"size": 5, "urls": []}],
)  # fmt: skip
def test_signed_without_size_or_url_is_refused(answer: Any) -> None:
    with pytest.raises(BadResponseError):
        decode_signed(answer, "x", 0)


def test_bucket_and_key_split_at_the_first_slash() -> None:
    assert bucket_and_key(StorageId(STORAGE + "/more")) == ("wip.dm.prod", "9b0b.dwg/more")
