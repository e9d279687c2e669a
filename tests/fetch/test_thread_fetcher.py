"""The fetcher in the drive's own process: which URLs it takes, ETags, its end."""

from __future__ import annotations

import pytest
import trio

from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import (
    BadResponseError,
    DriveError,
)
from dmfs.fetch.curl.transfer import ETagGuard
from dmfs.fetch.thread_fetcher import ThreadFetcher
from dmfs.http.tls import ca_bundle
from dmfs.urls import acceptable_url
from tests.support.clients import NewFile, parts_of
from tests.support.helpers import (
    a_get,
    real,
)

SIZE = 3_000_000


@pytest.mark.parametrize(
    ("url", "good"),
    [
        ("https://cdn.us.oss.api.autodesk.com/x?Signature=1", True),
        ("http://127.0.0.1:4000/x", True),
        ("http://localhost/x", True),
        ("http://[::1]:80/x", True),
        ("http://cdn.us.oss.api.autodesk.com/x", False),
        ("http://127.0.0.1.example.com/x", False),
        ("http://169.254.169.254/latest/meta-data", False),
        ("file:///etc/passwd", False),
        ("ftp://127.0.0.1/x", False),
        ("gopher://127.0.0.1/x", False),
        ("https:///nohost", False),
        ("https://user:secret@host/x", False),
        ("https://host/a b", False),
        ("https://host/\r\nX: y", False),
        ("https://[broken/x", False),
        ("", False),
        ("/etc/passwd", False),
    ],
)
def test_only_https_and_loopback_urls_are_fetched(url: str, good: bool) -> None:
    assert acceptable_url(url) is good


@real
async def test_a_refused_url_never_reaches_libcurl() -> None:
    fetcher = ThreadFetcher(ca_bundle=ca_bundle(""), connections=1)
    fetcher.start()
    for url in ("file:///etc/passwd", "http://example.com/secret?Signature=abc"):
        with pytest.raises(BadResponseError) as caught:
            await fetcher.fetch(a_get(url, 5))
        assert "passwd" not in caught.value.message
        assert "Signature" not in caught.value.message
    assert fetcher.gets == 0
    fetcher.close()


def test_the_etag_guard_takes_the_first_and_admits_only_that_or_none() -> None:
    guard = ETagGuard()
    assert guard.admits("")
    assert guard.admits('"a"')
    assert not guard.admits('"b"')
    assert guard.admits("")
    assert guard.etag == '"a"'


@real
async def test_closing_ends_what_is_under_way(emulator: EmulatorProcess, new_file: NewFile) -> None:
    file = new_file(SIZE)
    errors: list[DriveError] = []
    async with parts_of(emulator) as parts:
        emulator.fault("stall_mid_body", origin="cdn", after_bytes=1000, seconds=None, times=None)
        (part,) = (await parts.aps.sign(file)).parts

        async def one() -> None:
            try:
                await parts.fetcher.fetch(a_get(part.url, SIZE))
            except DriveError as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one)
            await trio.sleep(0.2)
            await trio.to_thread.run_sync(parts.fetcher.close)
    assert [error.message for error in errors] == ["cannot read 'x': the drive is shutting down"]
