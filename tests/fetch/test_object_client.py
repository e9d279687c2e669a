"""Signed URLs, ranges and checksums against the emulator's CDN: real sockets, real time."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import dmfs.fetch.curl.transfers
import dmfs.fetch.object_client
import dmfs.fetch.signed_urls
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import (
    AccessError,
    BadResponseError,
    GoneError,
    ObjectChangedError,
)
from dmfs.spans import Span
from tests.support.clients import NewFile, cdn_log, parts_of
from tests.support.helpers import (
    a_file,
    fetched,
    real,
)

SIZE = 3_000_000


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
        assert not any(parts.figures)
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
            assert parts.figures == [size]  # not one byte before all were checked
            emulator.fault("wrong_bytes", origin="cdn", times=2)
            with pytest.raises(BadResponseError, match="checksum"):
                await parts.read(file)
            assert not any(parts.figures)


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
        assert not any(parts.figures)
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
        with trio.fail_after(20):  # the one connection is free again
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


@real
async def test_gets_are_counted_by_outcome(emulator: EmulatorProcess, new_file: NewFile) -> None:
    file = new_file(SIZE)
    async with parts_of(emulator) as parts:
        await parts.read(file, 0, 1000)
        emulator.fault("status", origin="cdn", times=1, status=503, shape="xml")
        emulator.fault("expired_url", origin="cdn", times=1)
        await parts.read(file, 1000, 3000)
        seen = {name: count for name, count in parts.source.gauges().items() if count}
    assert seen == {
        "fetch.bytes": 3000, "fetch.gets_ok": 2, "fetch.gets_failed": 1, "fetch.gets_refused": 1,
    }  # fmt: skip
