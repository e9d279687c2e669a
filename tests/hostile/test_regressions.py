"""Bugs that the hunt found, each by the name of what it did to the user.

Written before the fix; the comment tells what happened without it.
"""

from __future__ import annotations

import gzip
import shutil
import sqlite3
import threading
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

import dmfs.assembly
import dmfs.blocks.disk_tier
from dmfs.aps.contents import decode_item
from dmfs.aps.signed_urls import decode_signed
from dmfs.blocks.object_sizes import ObjectSizes
from dmfs.blocks.readahead import PART_BYTES
from dmfs.blocks.store.block_store import DIRECTORY, BlockStore
from dmfs.config import load_settings
from dmfs.errors import (
    BadResponseError,
    DriveError,
    ObjectChangedError,
    SetupError,
    UnreachableError,
)
from dmfs.fetch.curl.transfer import RangeRequest
from dmfs.fetch.object_client import ObjectClient
from dmfs.fetch.thread_fetcher import ThreadFetcher
from dmfs.http.httpx_client import HttpxClient
from dmfs.http.json_client import Call, JsonClient
from dmfs.http.tls import ca_bundle
from dmfs.model import Project, ProjectId, Shortcut, SignedObject, SignedRange, StorageId
from dmfs.names import printable
from dmfs.ratelimit.limiter import RateLimiter
from dmfs.spans import BLOCK_BYTES, MIB, Span
from dmfs.system.clock import iso_time
from dmfs.urls import acceptable_url, check_api_url
from tests.support import caches
from tests.support.helpers import FakeSource, Whole, a_file, a_get, fetched, real, truth, virtual

SIZE = 64 * MIB


cache_over = partial(caches.cache_over, memory=16 * MIB, per_file=16, timeout_s=57)


# The curl thread


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:9/\u00fc",
        "https://127.0.0.1:9/\ud800",
        "https://127.0.0.1:9/" + "x" * 9_000_000,
    ],
    ids=["letter beyond ASCII", "lone surrogate", "longer than libcurl takes"],
)
def test_a_url_that_libcurl_refuses_fails_alone(url: str) -> None:
    # It killed the curl thread: every later read of the drive hung until its deadline.
    async def main() -> None:
        fetcher = ThreadFetcher(ca_bundle=ca_bundle(""), connections=2)
        fetcher.start()
        try:
            for each in (url, "http://127.0.0.1:9/x"):
                with trio.fail_after(15), pytest.raises(DriveError) as told:
                    await fetcher.fetch(a_get(each, 10))
                assert "127.0.0.1:9/" not in told.value.message
        finally:
            fetcher.close()

    trio.run(main)


def test_a_fetch_after_the_curl_thread_has_gone_fails_at_once() -> None:
    # It waited for a thread that was no more, until the deadline of the read.
    async def main() -> None:
        fetcher = ThreadFetcher(ca_bundle=ca_bundle(""), connections=2)
        fetcher.start()
        fetcher.close()
        with trio.fail_after(15), pytest.raises(UnreachableError):
            await fetcher.fetch(a_get("http://127.0.0.1:9/x", 10))

    trio.run(main)


# Memory


@virtual
async def test_who_waits_for_room_is_woken_when_the_last_reader_has_let_go() -> None:
    # The wake-up came while a reader was on its way to its slice (pinned) and none came after:
    # the other reader waited for 57 s, and got ETIMEDOUT, on an idle drive.
    for _ in range(10):  # trio wakes tasks of one moment in random order
        source = FakeSource(latency_s=0.05, bytes_per_s=1e9)
        async with cache_over(source, memory=PART_BYTES * 5 // 4) as cache:
            readers = [await cache.open(a_file(f"f{n}", SIZE), SIZE) for n in range(2)]

            async def read(number: int) -> None:
                span = Span(0, PART_BYTES)  # one run, and no room for two of them
                got = await cache.get(readers[number], span)  # noqa: B023
                assert got == truth(*span)

            with trio.fail_after(30):
                async with trio.open_nursery() as nursery:
                    for number in range(2):
                        nursery.start_soon(read, number)


# Signed URLs


class Layouts:
    """Signs one object in chunks first, then as a whole; each URL has an ETag of its own."""

    def __init__(self) -> None:
        self.answers = [
            (SignedRange(0, 600, "https://cdn/a"), SignedRange(600, 1000, "https://cdn/b")),
            (SignedRange(0, 1000, "https://cdn/whole"),),
        ]

    async def sign(self, file: Any) -> SignedObject:
        return SignedObject(1000, "", self.answers.pop(0), trio.current_time() + 60)

    async def fetch(self, get: RangeRequest) -> None:
        url, start, sink = get.url, get.start, get.buffer
        if not get.guard.admits(f'"{url}"'):
            raise ObjectChangedError("cannot read: the stored object changed its ETag")
        base = 600 if url.endswith("b") else 0
        sink[:] = truth(base + start, base + start + len(sink))
        get.progress.put(len(sink))
        get.progress.wake()


@virtual
async def test_an_object_that_was_assembled_meanwhile_stays_readable() -> None:
    # Signed in chunks at first, as a whole after the renewal: the first chunk's ETag was held
    # against the whole object, and the file was unreadable until the drive was mounted anew.
    service = Layouts()
    async with trio.open_nursery() as nursery:
        source = ObjectClient(service, service, nursery, timeout_s=10)
        content = Whole(a_file(size=1000))
        for _ in range(2):
            assert await fetched(source, content, Span(0, 1000)) == truth(0, 1000)
            await trio.sleep(40)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("size", [1 << 62, (1 << 44) + 1])
def test_a_size_beyond_all_reason_is_a_bad_answer(size: int) -> None:
    # A byte of memory is kept for each block: the answer asked for gigabytes of it.
    with pytest.raises(BadResponseError):
        decode_signed({"size": size, "url": "https://cdn/x"}, "open 'x'", 0.0)


# The cache directory


def _index(directory: Path) -> sqlite3.Connection:
    return sqlite3.connect(directory / f"{DIRECTORY}/index.db", isolation_level=None)


CRAFTED = {
    "no total": "DELETE FROM totals",
    "a text for a total": "UPDATE totals SET bytes = 'x'",
    "two totals": "INSERT INTO totals VALUES (5)",
    "a negative total": "UPDATE totals SET bytes = -5",
    "a total beyond all": "UPDATE totals SET bytes = 9223372036854775807",
    "block numbers of another kind": "UPDATE blocks SET number = number + 0.5",
    "block numbers below 0": "UPDATE blocks SET number = -1 - number",
    "checksums of another kind": "UPDATE blocks SET crc = 'x'",
    "a size of another kind": "UPDATE objects SET size = 'x', bytes = 'y', used_at = 'z'",
    "a use that never was": "UPDATE objects SET used_at = 'z'",
    "real sizes of another kind": "UPDATE sizes SET size = 'x'",
    "negative real sizes": "UPDATE sizes SET size = -1",
    "no table of sizes": "DROP TABLE sizes",
    "no table of blocks": "DROP TABLE blocks",
    "no table of objects": "DROP TABLE objects",
}


@pytest.mark.parametrize("statement", CRAFTED.values(), ids=CRAFTED)
def test_a_crafted_index_costs_no_byte_and_no_mount(tmp_path: Path, statement: str) -> None:
    # An exception other than OSError and sqlite3.Error, out of a task of the cache's nursery:
    # the mount ended under its users. Others made every listing fail.
    size = 8 * BLOCK_BYTES + 5
    budget = 20 * BLOCK_BYTES  # of two files: the third one has to evict
    file = a_file("f", size)

    async def use(store: BlockStore, *names: str) -> None:
        sizes = ObjectSizes(None, store)  # type: ignore[arg-type]
        await sizes.load()
        assert sizes.of(file) == size
        async with cache_over(FakeSource(bytes_per_s=1e9), store) as cache:
            for each in (file, *(a_file(name, size) for name in names)):
                opened = await cache.open(each, size)
                for span in (Span(0, BLOCK_BYTES), Span(0, size), Span(size - 1, size)):
                    assert bytes(await cache.get(opened, span)) == truth(*span)
                cache.close(opened)
            with trio.move_on_after(1):
                while not cache.is_settled():
                    await trio.sleep(0.01)

    @real
    async def once(*names: str) -> None:
        store = BlockStore(tmp_path, limit_bytes=budget, free_percent=0)
        try:
            await use(store, *names)
        finally:
            store.close()

    once("g")
    seeded = BlockStore(tmp_path, limit_bytes=budget, free_percent=0)
    seeded.remember_size(file.storage_id, size)
    seeded.close()
    with _index(tmp_path) as index:
        index.execute(statement)
    index.close()
    once("g", "h")
    once("h", "i")


def test_a_cache_replaced_under_a_running_drive_gives_no_wrong_byte(tmp_path: Path) -> None:
    # `rm -rf ~/.cache/dmfs` with a drive mounted, then another mount (or a newer dmfs, which
    # makes the index anew): both numbered their objects from the same number on, wrote into the
    # same files, and bytes verified by one were the other's a moment later.
    size = 4 * BLOCK_BYTES

    def write(store: BlockStore, name: str, data: bytes) -> Any:
        stored = store.attach(StorageId(name), size)
        try:
            store.write(stored, 0, memoryview(data))
        except (OSError, sqlite3.Error):
            pass
        return stored

    first = BlockStore(tmp_path, limit_bytes=1 << 30, free_percent=0)
    shutil.rmtree(tmp_path / DIRECTORY)
    second = BlockStore(tmp_path, limit_bytes=1 << 30, free_percent=0)
    try:
        ours, theirs = b"o" * size, b"t" * size
        stored_objects = [(first, write(first, "urn:a", ours), ours)]
        stored_objects.append((second, write(second, "urn:b", theirs), theirs))
        for store, stored, data in stored_objects:
            for number in range(4):
                span = Span(number * BLOCK_BYTES, (number + 1) * BLOCK_BYTES)
                assert store.peek(stored, span) in (None, data[:BLOCK_BYTES])
    finally:
        first.close()
        second.close()


def test_files_of_an_index_that_is_gone_are_swept(tmp_path: Path) -> None:
    # They stayed for ever, on top of the limit.
    size = 4 * BLOCK_BYTES
    store = BlockStore(tmp_path, limit_bytes=1 << 30, free_percent=0)
    stored = store.attach(StorageId("urn:a"), size)
    assert store.write(stored, 0, memoryview(bytes(size)))
    store.close()
    for name in ("index.db", "index.db-wal", "index.db-shm"):
        (tmp_path / DIRECTORY / name).unlink(missing_ok=True)
    BlockStore(tmp_path, limit_bytes=1 << 30, free_percent=0).close()
    assert not [path for path in (tmp_path / DIRECTORY).rglob("*/*") if path.is_file()]


# Hostile answers


@virtual
async def test_an_answer_packed_many_times_over_is_refused_unopened() -> None:
    # 100 KiB of gzip inside gzip became gigabytes in a single step of the decoder.
    bomb = gzip.compress(gzip.compress(bytes(64 * MIB)))

    async def answer(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, headers={"content-encoding": "gzip, gzip"}, stream=httpx.ByteStream(bomb)
        )

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        wire = JsonClient("https://api.example", HttpxClient(client), RateLimiter())
        with pytest.raises(BadResponseError):
            await wire.request(Call(action="list hubs", route="hubs", method="GET", path="/x"))


def test_a_name_that_no_encoding_can_spell_is_printable() -> None:
    # `dmfs cat` ended in a traceback (the sample world has such a name).
    assert printable("a\ud800b") == "a�b"
    assert printable("a\udcffb") == "a�b"
    assert printable("\x1b[31mred\x9b0m\u202e") == "�[31mred�0m�"


def test_a_time_at_the_end_of_the_calendar_is_shown() -> None:
    # `dmfs ls -l` of the whole folder ended in a traceback.
    for seconds in (253402300800 + 50_000, -62135596800 - 50_000, 1 << 60):
        assert iso_time(seconds * 10**9)


def test_a_web_address_cannot_add_lines_to_a_shortcut() -> None:
    # An Internet shortcut is an INI file: another line may name an icon on a foreign server, and
    # a file: URL opens a program.
    for url in ("https://ok/\r\nIconFile=\\\\evil\\x.ico", "file:///etc/passwd", "javascript:1"):
        answer = {
            "data": {
                "id": "urn:item", "type": "items",
                "attributes": {"displayName": "design"},
                "links": {"webView": {"href": url}},
            }
        }  # fmt: skip
        project = Project(ProjectId("b.p"), "b.h", "P")  # type: ignore[arg-type]
        leaf = decode_item(answer, "list", project)
        assert isinstance(leaf, Shortcut)
        lines = leaf.body.split(b"\r\n")
        assert len(lines) == 3
        assert lines[1].startswith(b"URL=https://")


def test_a_cache_disk_that_hangs_does_not_stop_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Whatever waited for the disk held its memory; soon all of it, and every read timed out.
    monkeypatch.setattr(dmfs.blocks.disk_tier, "STUCK_S", 1.0)
    go_on = threading.Event()

    class Hanging(BlockStore):
        def write(self, *args: Any, **kwargs: Any) -> bool:
            go_on.wait(60)
            return False

    @real
    async def main() -> None:
        store = Hanging(tmp_path, limit_bytes=1 << 30, free_percent=0)
        try:
            async with cache_over(FakeSource(bytes_per_s=1e9), store, memory=16 * MIB) as cache:
                opened = await cache.open(a_file("f", SIZE), SIZE)
                for number in range(8):
                    span = Span(number * 4 * MIB, (number + 1) * 4 * MIB)
                    with trio.fail_after(20):
                        assert bytes(await cache.get(opened, span)) == truth(*span)
                go_on.set()
        finally:
            go_on.set()
            store.close()

    main()


def test_an_address_before_brackets_does_not_pass_for_loopback() -> None:
    # urlsplit takes the ::1 of "evil[::1]" for the host: tokens would have been sent unencrypted
    # to whatever the rest of the stack makes of it (found by the fuzzer).
    for url in ("http://evil[::1]/", "http://\0[::1]:80/x", "http://localhost\n/"):
        assert not acceptable_url(url)
        with pytest.raises(SetupError):
            check_api_url(url)


def test_a_cache_of_more_bytes_than_floats_can_count_is_refused_in_words() -> None:
    # `dmfs mount` ended in a traceback (found by the fuzzer).
    with pytest.raises(SetupError, match="cache_size"):
        load_settings(f'cache_size = "{"9" * 400}G"', {"HOME": "/nowhere"}, {})


def test_a_cache_disk_that_hangs_at_the_start_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `dmfs mount` said nothing, for ever.
    go_on = threading.Event()
    monkeypatch.setattr(dmfs.assembly, "OPEN_S", 0.2)
    monkeypatch.setattr(dmfs.assembly, "BlockStore", lambda *_args, **_more: go_on.wait(30))

    @real
    async def main() -> None:
        settings = load_settings("", {"HOME": str(tmp_path)}, {"cache_dir": str(tmp_path)})
        with pytest.raises(SetupError, match="does not answer"):
            async with dmfs.assembly.open_drive(settings):
                pytest.fail("it opened")

    try:
        main()
    finally:
        go_on.set()
