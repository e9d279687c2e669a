"""Renewal of URLs, retries and refusals, over a made-up signer in virtual time."""

from __future__ import annotations

import pytest
import trio

import dmfs.fetch.curl.transfers
import dmfs.fetch.object_client
import dmfs.fetch.signed_urls
from dmfs.errors import (
    AccessError,
    DriveError,
    GoneError,
    UnreachableError,
)
from dmfs.fetch.curl.transfer import RangeRequest, other_etag
from dmfs.fetch.object_client import ObjectClient
from dmfs.model import File, SignedObject, SignedRange
from dmfs.spans import Span
from tests.support.helpers import (
    Recorded,
    Whole,
    a_file,
    fetched,
    truth,
    virtual,
)


class FakeSigner:
    def __init__(self, size: int = 1000, life_s: float = 3600, sha1: str = "") -> None:
        self.size, self.life_s, self.sha1 = size, life_s, sha1
        self.calls = 0
        self.errors: list[DriveError] = []

    async def sign(self, file: File) -> SignedObject:
        self.calls += 1
        await trio.sleep(0.1)
        if self.errors:
            raise self.errors.pop(0)
        url = f"https://cdn/{self.calls}"
        parts = (SignedRange(0, self.size, url),)
        return SignedObject(self.size, self.sha1, parts, trio.current_time() + self.life_s)


class FakeFetcher:
    def __init__(self) -> None:
        self.urls: list[str] = []
        self.starts: list[int] = []
        self.script: list[tuple[int, DriveError]] = []
        """Bytes to give, then the error."""

    async def fetch(self, get: RangeRequest) -> None:
        url, start, sink, progress = get.url, get.start, get.buffer, get.progress
        await trio.sleep(0.01)
        self.urls.append(url)
        self.starts.append(start)
        good, error = self.script.pop(0) if self.script else (len(sink), None)
        sink[:good] = truth(start, start + good)
        if progress.put(good):
            progress.wake()
        if error is not None:
            raise error


@virtual
async def test_a_url_is_renewed_before_it_expires() -> None:
    signer, fetcher = FakeSigner(life_s=100), FakeFetcher()
    async with trio.open_nursery() as nursery:
        source = ObjectClient(signer, fetcher, nursery, timeout_s=10)
        file = a_file()
        for _ in range(4):
            await fetched(source, Whole(file), Span(0, 10))
            await trio.sleep(30)
    # signed at 0; used at 0, 30, 60; at 90 less than the margin is left
    assert fetcher.urls == ["https://cdn/1"] * 3 + ["https://cdn/2"]


@virtual
async def test_progress_made_renews_the_number_of_tries_but_standing_still_does_not() -> None:
    signer, fetcher = FakeSigner(), FakeFetcher()
    async with trio.open_nursery() as nursery:
        source = ObjectClient(signer, fetcher, nursery, timeout_s=10)
        broken = UnreachableError("reset")
        fetcher.script = [(50, broken)] * 12
        progress, content = Recorded(), Whole(a_file())
        told = progress.figures
        assert await fetched(source, content, Span(0, 1000), progress) == truth(0, 1000)
        assert fetcher.starts == [n * 50 for n in range(13)]
        assert told == sorted(told)
        fetcher.starts.clear()
        fetcher.script = [(0, broken)] * 50
        with pytest.raises(UnreachableError):
            await fetched(source, content, Span(0, 1000))
        assert len(fetcher.starts) == dmfs.fetch.object_client.ATTEMPTS


@virtual
async def test_a_refusal_is_remembered_for_a_while_and_each_reader_has_its_own_error() -> None:
    signer = FakeSigner()
    refusal = AccessError("view only")
    async with trio.open_nursery() as nursery:
        source = ObjectClient(signer, FakeFetcher(), nursery, timeout_s=10)
        signer.errors = [refusal]
        for _ in range(3):
            with pytest.raises(AccessError) as caught:
                await source.size(a_file())
            assert caught.value is not refusal
        assert signer.calls == 1
        await trio.sleep(dmfs.fetch.signed_urls.REFUSAL_MEMORY_S + 1)
        assert await source.size(a_file()) == 1000
        assert signer.calls == 2


@virtual
async def test_an_object_that_became_shorter_is_stale() -> None:
    signer = FakeSigner(size=500)
    async with trio.open_nursery() as nursery:
        source = ObjectClient(signer, FakeFetcher(), nursery, timeout_s=10)
        with pytest.raises(GoneError):
            await fetched(source, Whole(a_file()), Span(0, 501))


def test_urls_are_not_in_any_repr() -> None:
    signed = SignedObject(1, "", (SignedRange(0, 1, "https://cdn/x?Signature=secret"),), 0.0)
    assert "secret" not in repr(signed)
    assert "secret" not in repr(signed.parts[0])


@virtual
async def test_a_witness_whose_get_breaks_does_not_end_the_read() -> None:
    class Odd(FakeFetcher):
        etags: tuple[str, ...] = ()

        async def fetch(self, get: RangeRequest) -> None:
            etag, *rest = self.etags
            self.etags = tuple(rest)
            await trio.sleep(0.01)
            if not etag:
                raise UnreachableError("cannot read: reset")
            if not get.guard.admits(etag):
                raise other_etag(get.action)
            await super().fetch(get)

    fetcher = Odd()
    async with trio.open_nursery() as nursery:
        source = ObjectClient(FakeSigner(), fetcher, nursery, timeout_s=10)
        content = Whole(a_file())
        fetcher.etags = ("A",)
        await fetched(source, content, Span(0, 10))
        # an odd answer, of the two witnesses one that breaks, and then all is well
        fetcher.etags = ("B", "", "A", "A")
        assert await fetched(source, content, Span(10, 20)) == truth(10, 20)
        fetcher.etags = ("B", "", "", "B", "A", "A", "A")
        assert await fetched(source, content, Span(20, 30)) == truth(20, 30)
