"""Signed URLs, ranges and checksums against the emulator's CDN: real sockets, real time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

import dmfs.fetch.curl.transfers
import dmfs.fetch.object_client
import dmfs.fetch.signed_urls
from dmfs.aps.client import Aps
from dmfs.auth.token_endpoint import App
from dmfs.auth.token_sources import TwoLegged
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import (
    AccessError,
    BadResponseError,
    DriveError,
    GoneError,
    ObjectChangedError,
    UnreachableError,
)
from dmfs.fetch.curl.transfer import ETagGuard, RangeRequest
from dmfs.fetch.object_client import ObjectClient
from dmfs.fetch.thread_fetcher import ThreadFetcher
from dmfs.http.engines import open_engines
from dmfs.http.json_client import JsonClient
from dmfs.http.tls import ca_bundle
from dmfs.model import File, SignedObject, SignedRange
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.spans import Span
from dmfs.urls import acceptable_url
from tests.support.helpers import (
    Recorded,
    Whole,
    a_file,
    a_get,
    fetched,
    real,
    truth,
    virtual,
)

SIZE = 3_000_000
NewFile = Callable[[int], File]


@dataclass
class Parts:
    emulator: EmulatorProcess
    aps: Aps
    source: ObjectClient
    fetcher: ThreadFetcher
    told: list[int] = field(default_factory=list)
    contents: dict[str, Whole] = field(default_factory=dict)

    async def read(self, file: File, start: int = 0, stop: int | None = None) -> bytes:
        """The bytes through the source; checks that progress was told in order and to the end."""
        stop = file.size_bytes if stop is None else stop
        assert stop is not None
        progress = Recorded()
        self.told = progress.figures
        content = self.contents.setdefault(file.storage_id, Whole(file))
        data = await fetched(self.source, content, Span(start, stop), progress)
        assert self.told == sorted(self.told)
        assert self.told[-1] == len(data)
        return data

    def true(self, file: File, start: int = 0, stop: int | None = None) -> bytes:
        length = None if stop is None else stop - start
        return self.emulator.bytes(file.storage_id, start, length)


@asynccontextmanager
async def parts_of(emulator: EmulatorProcess, *, connections: int = 8) -> AsyncIterator[Parts]:
    fetcher = ThreadFetcher(ca_bundle=ca_bundle(""), connections=connections)
    fetcher.start()
    try:
        async with (
            open_engines(ca_bundle("")) as engines,
            trio.open_nursery() as nursery,
        ):
            wire = JsonClient(emulator.api_url, engines, RateLimiter())
            app = App(emulator.client_id, emulator.client_secret)
            tokens = TwoLegged(wire, nursery, app, "data:read")
            aps = Aps(wire, tokens, url_minutes=60)
            yield Parts(emulator, aps, ObjectClient(aps, fetcher, nursery, timeout_s=20), fetcher)
            nursery.cancel_scope.cancel()
    finally:
        fetcher.close()


def cdn_log(emulator: EmulatorProcess) -> list[dict[str, Any]]:
    return [entry for entry in emulator.calls()["log"] if entry["origin"] == "cdn"]


@pytest.fixture(autouse=True)
def quick_backoff(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dmfs.fetch.object_client, "BACKOFF_FIRST_S", 0.01)


@real
async def test_one_signing_serves_all_reads_and_no_token_reaches_the_cdn(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    file = new_file(SIZE)
    async with parts_of(emulator) as parts:
        assert await parts.read(file) == parts.true(file)
        for start in (0, 1, 1_234_567, SIZE - 1):
            assert await parts.read(file, start, SIZE) == parts.true(file, start)
        assert await parts.source.size(file) == SIZE
    assert emulator.counts()["sign"] == 1
    log = cdn_log(emulator)
    assert len(log) == 5
    assert [entry["authorization_present"] for entry in log] == [False] * 5
    assert emulator.calls()["cdn_bytes"] == sum(entry["bytes"] for entry in log)


@real
async def test_fifty_first_readers_share_one_signing(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    file = new_file(SIZE)
    emulator.settings(api_latency_ms=50)
    async with parts_of(emulator) as parts, trio.open_nursery() as nursery:
        for _ in range(50):
            nursery.start_soon(parts.source.size, file)
    assert emulator.counts()["sign"] == 1
    assert emulator.counts()["token"] == 1


@real
async def test_an_expired_url_is_renewed_unseen_once_for_all(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    file = new_file(SIZE)
    async with parts_of(emulator) as parts:
        await parts.read(file, 0, 10)
        emulator.expire_urls()

        async def one(start: int) -> None:
            span = Span(start, start + 1000)
            content = parts.contents[file.storage_id]
            assert await fetched(parts.source, content, span) == parts.true(file, *span)

        async with trio.open_nursery() as nursery:
            for number in range(6):
                nursery.start_soon(one, number * 1000)
    assert emulator.counts()["sign"] == 2


@real
async def test_urls_that_keep_being_refused_end_in_eacces_after_two_renewals(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    file = new_file(SIZE)
    emulator.fault("expired_url", origin="cdn", times=None)
    async with parts_of(emulator) as parts:
        with pytest.raises(AccessError):
            await parts.read(file, 0, 10)
    assert emulator.counts()["sign"] == 1 + dmfs.fetch.object_client.RENEWALS
    assert len(cdn_log(emulator)) == 1 + dmfs.fetch.object_client.RENEWALS


@real
async def test_a_reset_in_the_body_is_resumed_where_the_bytes_stopped(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    file = new_file(SIZE)
    emulator.fault("reset_mid_body", origin="cdn", after_bytes=1_000_000)
    emulator.fault("short_body", origin="cdn", after_bytes=700_000)
    async with parts_of(emulator) as parts:
        assert await parts.read(file, 0, SIZE - 1) == parts.true(file, 0, SIZE - 1)
    log = cdn_log(emulator)
    assert len(log) == 3
    starts = [int(entry["range"].removeprefix("bytes=").partition("-")[0]) for entry in log]
    assert starts[0] == 0
    assert starts[1] > 0
    assert starts[2] >= starts[1] + 700_000 - 1  # all of what came was kept
    assert {entry["range"].partition("-")[2] for entry in log} == {str(SIZE - 2)}


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("wrong_content_range", {"shift": 1}),
        ("ok_200_instead_of_206", {}),
        ("short_body", {}),
        ("long_body", {}),
        ("reset_before_headers", {}),
        ("reset_after_headers", {}),
        ("status", {"status": 503, "shape": "xml"}),
        ("status", {"status": 500, "shape": "html"}),
        ("huge_headers", {"kilobytes": 256}),
        ("empty_body", {}),
    ],
)
def test_a_damaged_answer_is_asked_again_and_never_believed(
    emulator: EmulatorProcess, new_file: NewFile, kind: str, params: dict[str, Any]
) -> None:
    file = new_file(SIZE)
    emulator.fault(kind, origin="cdn", times=2, **params)

    @real
    async def body() -> None:
        async with parts_of(emulator) as parts:
            assert await parts.read(file, 500, 900_000) == parts.true(file, 500, 900_000)

    body()
    assert [fault["hits"] for fault in emulator.faults()] == [2]


@real
async def test_a_damage_that_does_not_end_ends_the_read(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    file = new_file(SIZE)
    emulator.fault("wrong_content_range", origin="cdn", times=None)
    async with parts_of(emulator) as parts:
        with pytest.raises(BadResponseError, match="another range"):
            await parts.read(file, 0, 1000)
        assert not any(parts.told)
    assert len(cdn_log(emulator)) == dmfs.fetch.object_client.ATTEMPTS


@real
async def test_the_whole_object_with_200_will_do_for_the_whole_object(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    file = new_file(50_000)
    emulator.fault("ok_200_instead_of_206", origin="cdn", times=None)
    async with parts_of(emulator) as parts:
        assert await parts.read(file) == parts.true(file)
    assert len(cdn_log(emulator)) == 1


@real
async def test_wrong_bytes_of_a_whole_small_file_are_caught_by_sha1(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    for size in (5_000, 300_000):  # compared on the loop, and in a thread
        file = new_file(size)
        async with parts_of(emulator) as parts:
            emulator.fault("wrong_bytes", origin="cdn", times=1)
            assert await parts.read(file) == parts.true(file)
            assert parts.told == [size]  # not one byte before all were checked
            emulator.fault("wrong_bytes", origin="cdn", times=2)
            with pytest.raises(BadResponseError, match="checksum"):
                await parts.read(file)
            assert not any(parts.told)


@real
async def test_a_changed_etag_is_never_mixed_in(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    file = new_file(SIZE)
    async with parts_of(emulator) as parts:
        await parts.read(file, 0, 1000)
        emulator.fault("changed_etag", origin="cdn", times=1)
        # the odd one was asked about, and is fetched again
        assert await parts.read(file, 1000, 2000) == parts.true(file, 1000, 2000)
        emulator.fault("changed_etag", origin="cdn", times=2)
        with pytest.raises(ObjectChangedError, match="keeps changing"):
            await parts.read(file, 1000, 2000)  # one of its two witnesses is odd as well
        assert not any(parts.told)
        assert await parts.read(file, 1000, 2000) == parts.true(file, 1000, 2000)


@pytest.mark.parametrize("signing", ["chunked", "fallback", "complete"])
@pytest.mark.parametrize("url_form", ["s3", "cloudfront"])
def test_every_kind_of_signing_gives_the_bytes(
    emulator: EmulatorProcess, new_file: NewFile, signing: str, url_form: str
) -> None:
    size = 25_000_123
    file = new_file(size)
    emulator.settings(signing=signing, url_form=url_form)

    @real
    async def body() -> None:
        async with parts_of(emulator) as parts:
            signed = await parts.aps.sign(file)
            assert len(signed.parts) == 1 or signing == "chunked"
            edges = [part.stop for part in signed.parts[:-1]] or [size // 2]
            for edge in edges:
                span = (edge - 100_000, edge + 100_000)
                assert await parts.read(file, *span) == parts.true(file, *span)
            assert await parts.read(file, size - 10, size) == parts.true(file, size - 10, size)

    body()


@real
async def test_a_cancelled_fetch_frees_its_connection(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    file = new_file(SIZE)
    async with parts_of(emulator, connections=1) as parts:
        await parts.source.size(file)
        emulator.fault("stall_mid_body", origin="cdn", after_bytes=1000, seconds=None)
        for _ in range(3):
            with trio.move_on_after(0.2) as scope:
                await parts.read(file, 0, 100_000)
            emulator.fault("stall_mid_body", origin="cdn", after_bytes=1000, seconds=None)
            assert scope.cancelled_caught
        emulator.clear_faults()
        with trio.fail_after(3):  # the one connection is free again
            assert await parts.read(file, 0, 100_000) == parts.true(file, 0, 100_000)


@real
async def test_a_stalled_body_is_given_up_and_resumed(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    file = new_file(SIZE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dmfs.fetch.curl.transfers, "STALL_TIMEOUT_S", 1)
        async with parts_of(emulator) as parts:
            emulator.fault("stall_mid_body", origin="cdn", after_bytes=400_000, seconds=None)
            assert await parts.read(file, 0, 900_000) == parts.true(file, 0, 900_000)
    log = cdn_log(emulator)
    assert len(log) == 2
    assert not log[1]["range"].startswith("bytes=0-")


@real
async def test_view_only_and_gone_objects_say_so_and_are_not_asked_for_again_at_once(
    emulator: EmulatorProcess,
) -> None:
    versions: dict[str, Any] = {}

    def collect(folder: dict[str, Any]) -> None:
        versions.update({item["displayName"]: item["versions"][-1] for item in folder["items"]})
        for inner in folder["folders"]:
            collect(inner)

    for hub in emulator.world()["hubs"]:
        for project in hub["projects"]:
            for folder in project["folders"]:
                collect(folder)
    async with parts_of(emulator) as parts:
        for name, error in (("view only.bin", AccessError), ("storage gone.bin", GoneError)):
            file = a_file(name, storage_id=versions[name]["storage"])
            before = emulator.counts()["sign"]
            for _ in range(5):
                with pytest.raises(error):
                    await parts.source.size(file)
            assert emulator.counts()["sign"] == before + 1


@real
async def test_the_cdn_down_for_a_moment_is_waited_out(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    file = new_file(SIZE)
    async with parts_of(emulator) as parts:
        await parts.source.size(file)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(dmfs.fetch.object_client, "BACKOFF_FIRST_S", 0.4)
            emulator.refuse("cdn", 0.5)
            assert await parts.read(file, 0, 1000) == parts.true(file, 0, 1000)


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


# The source alone, in virtual time


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
