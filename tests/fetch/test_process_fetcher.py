"""The fetching process: the same bytes and errors as in our own, and nothing lost when it dies."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

import dmfs.fetch.curl.transfers
import dmfs.fetch.process_fetcher
from dmfs.aps.client import Aps
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import (
    BadResponseError,
    DriveError,
    ETagDiffersError,
    UnreachableError,
)
from dmfs.fetch.curl.progress import Progress
from dmfs.fetch.curl.transfer import ETagGuard, RangeRequest
from dmfs.fetch.object_client import ObjectClient
from dmfs.fetch.process_fetcher import ProcessFetcher
from dmfs.fetch.thread_fetcher import ThreadFetcher
from dmfs.http.tls import ca_bundle
from dmfs.model import File
from dmfs.spans import MIB, Span
from dmfs.system.shared_memory import Arena
from tests.support.clients import NewFile, aps_over
from tests.support.helpers import Whole, a_get, a_new_file, real

SIZE = 3_000_000


@dataclass
class Fetching:
    """An object client over a fetching process."""

    emulator: EmulatorProcess
    aps: Aps
    source: ObjectClient
    here: ThreadFetcher
    process: ProcessFetcher
    arena: Arena

    async def started(self) -> int:
        """Its pid, once it is there."""
        self.process.prepare()
        while self.process.pid is None:
            await trio.sleep(0.005)
        return self.process.pid

    def buffer(self, length: int = SIZE) -> memoryview:
        piece = self.arena.allocate_space(-(-length // 4096) * 4096)
        assert piece is not None
        return piece[:length]

    async def get(
        self, file: File, start: int = 0, length: int = SIZE, **changes: Any
    ) -> RangeRequest:
        (part,) = (await self.aps.sign(file)).parts
        values = {"start": start, "buffer": self.buffer(length), "total_bytes": SIZE}
        return a_get(part.url, 1, **values | changes)

    async def read(self, file: File) -> bytes:
        buffer = self.buffer()
        await self.source.fill(Whole(file), Span(0, SIZE), buffer, Progress())
        return bytes(buffer)

    def true(self, file: File) -> bytes:
        return self.emulator.bytes(file.storage_id, 0, None)


@asynccontextmanager
async def fetching(
    emulator: EmulatorProcess, *, bundle: str = "", api_bundle: str = ""
) -> AsyncIterator[Fetching]:
    bundle = ca_bundle(bundle)
    arena = Arena(64 * MIB)
    here = ThreadFetcher(ca_bundle=bundle, connections=8)
    here.start()
    process = ProcessFetcher(here, arena, ca_bundle=bundle, connections=8)
    try:
        async with aps_over(emulator, api_bundle) as (aps, nursery):
            nursery.start_soon(process.run)
            source = ObjectClient(aps, process, nursery, timeout_s=20)
            yield Fetching(emulator, aps, source, here, process, arena)
    finally:
        here.close()
        arena.close()


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@real
async def test_bytes_come_by_way_of_the_process(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    file = new_file(SIZE)
    async with fetching(emulator) as parts:
        pid = await parts.started()
        assert await parts.read(file) == parts.true(file)
        assert (parts.process.gets, parts.here.gets) == (1, 0)
    assert is_gone(pid)


@real
async def test_without_it_and_for_what_is_not_in_the_arena_bytes_come_by_our_own(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    file = new_file(SIZE)
    async with fetching(emulator) as parts:
        assert await parts.read(file) == parts.true(file)
        assert (parts.process.gets, parts.here.gets, parts.process.pid) == (1, 1, None)
        parts.process.prepare()
        await trio.sleep(0.01)  # it starts: nobody waits for that
        await parts.process.fetch(await parts.get(file))
        assert parts.here.gets == 2
        await parts.started()
        buffer = memoryview(bytearray(SIZE))
        await parts.process.fetch(await parts.get(file, buffer=buffer))
        assert bytes(buffer) == parts.true(file)
        assert parts.here.gets == 3
        await parts.process.fetch(await parts.get(file))
        assert (parts.process.gets, parts.here.gets, parts.process.under_way) == (4, 3, 0)


@real
async def test_who_waits_is_woken_as_soon_as_his_bytes_are_there(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    file = new_file(SIZE)

    class Woken(Progress):
        def wake(self) -> None:
            self.wanted = 1 << 62
            seen.append(self.filled)

    seen: list[int] = []
    progress = Woken()
    async with fetching(emulator) as parts:
        await parts.started()
        get = await parts.get(file, progress=progress)
        emulator.fault("stall_mid_body", origin="cdn", after_bytes=400_000, seconds=None)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(parts.process.fetch, get)
            # before and after they have come; 400 000 are told without anybody's waiting at the end
            for wanted in (1, 100_000, 399_000):
                count = len(seen)
                progress.want(wanted)
                while len(seen) == count:
                    await trio.sleep(0.001)
                assert seen[-1] >= wanted
                assert bytes(get.buffer[:wanted]) == parts.true(file)[:wanted]
            nursery.cancel_scope.cancel()
        # and the last word of a request that was called off
        assert progress.filled == 400_000


@real
async def test_a_process_that_dies_loses_no_read(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    file = new_file(SIZE)
    async with fetching(emulator) as parts:
        pid = await parts.started()
        emulator.fault("stall_mid_body", origin="cdn", after_bytes=1_500_000, seconds=None)
        async with trio.open_nursery() as nursery:

            async def read() -> None:
                assert await parts.read(file) == parts.true(file)

            nursery.start_soon(read)
            while emulator.counts()["cdn_get"] == 0:
                await trio.sleep(0.01)
            await trio.sleep(0.1)
            os.kill(pid, signal.SIGKILL)
        log = [each["range"] for each in emulator.calls()["log"] if each["origin"] == "cdn"]
        assert len(log) == 2
        assert log[1] == "bytes=1500000-2999999", "what had come before it died counts"
        assert await parts.started() != pid
        assert await parts.read(file) == parts.true(file)


@real
async def test_one_that_keeps_dying_is_done_without(
    emulator: EmulatorProcess, new_file: NewFile, caplog: pytest.LogCaptureFixture
) -> None:
    file = new_file(SIZE)
    async with fetching(emulator) as parts:
        for _ in range(dmfs.fetch.process_fetcher.DEATHS_MAX):
            pid = await parts.started()
            os.kill(pid, signal.SIGKILL)
            while parts.process.pid == pid:
                await trio.sleep(0.005)
        assert await parts.read(file) == parts.true(file)
        assert parts.here.gets == 1
        await trio.sleep(0.5)
        assert parts.process.pid is None
    assert "keeps ending" in caplog.text


@real
async def test_one_that_cannot_be_started_is_done_without(
    emulator: EmulatorProcess, new_file: NewFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dmfs.fetch.process_fetcher.sys, "executable", "/nowhere/python")  # type: ignore[attr-defined]
    async with fetching(emulator) as parts:
        parts.process.prepare()
        await trio.sleep(0.1)
        file = new_file(SIZE)
        assert await parts.read(file) == parts.true(file)
        assert parts.here.gets == 1


@real
async def test_one_that_does_not_answer_is_ended_and_its_buffers_are_nobody_elses_until_then(
    emulator: EmulatorProcess, new_file: NewFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dmfs.fetch.process_fetcher, "DROPPED_S", 0.5)
    file = new_file(SIZE)
    async with fetching(emulator) as parts:
        pid = await parts.started()
        get: RangeRequest | None = await parts.get(file)
        os.kill(pid, signal.SIGSTOP)
        with trio.move_on_after(0.2) as patience:
            await parts.process.fetch(get)  # type: ignore[arg-type]
        assert parts.process.under_way == 1
        assert patience.cancelled_caught
        get = None
        assert parts.arena.idle_bytes == 0, "it may still write there"
        while not is_gone(pid):
            await trio.sleep(0.01)
        await trio.sleep(0.05)
        assert parts.arena.idle_bytes > 0
        assert await parts.started() != pid
        assert await parts.read(file) == parts.true(file)


@real
async def test_calling_off_gives_the_connection_up_and_the_buffer_back(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    file = new_file(SIZE)
    async with fetching(emulator) as parts:
        pid = await parts.started()
        emulator.fault("stall_mid_body", origin="cdn", after_bytes=0, seconds=None, times=8)
        emulator.reset()
        for number in range(8):  # as many as there are connections
            async with trio.open_nursery() as nursery:
                nursery.start_soon(parts.process.fetch, await parts.get(file))
                with trio.fail_after(10):
                    # one that is called off before it is sent leaves its stall to the last read
                    while emulator.counts()["cdn_get"] <= number:
                        await trio.sleep(0.01)
                nursery.cancel_scope.cancel()
        assert parts.arena.idle_bytes > 0
        assert await parts.read(file) == parts.true(file)
        assert parts.process.pid == pid


@real
async def test_no_byte_counts_under_another_etag(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    file = new_file(SIZE)
    guard = ETagGuard()
    async with fetching(emulator) as parts:
        await parts.started()
        await parts.process.fetch(await parts.get(file, guard=guard))
        emulator.fault("changed_etag", origin="cdn")
        progress = Progress()
        with pytest.raises(ETagDiffersError, match="changed its ETag"):
            await parts.process.fetch(await parts.get(file, guard=guard, progress=progress))
        assert progress.filled == 0


FAULTS: list[tuple[str, dict[str, Any]]] = [
    ("expired_url", {}),
    ("status", {"status": 404, "shape": "xml"}),
    ("status", {"status": 429, "retry_after": 7}),
    ("status", {"status": 503, "retry_after": 9, "shape": "xml"}),
    ("wrong_content_range", {}),
    ("ok_200_instead_of_206", {}),
    ("short_body", {}),
    ("long_body", {}),
    ("huge_headers", {}),
    ("reset_mid_body", {}),
    ("redirect", {"location": "file:///etc/passwd"}),
]


@real
async def test_its_errors_are_those_of_our_own(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    def facts(error: DriveError) -> Any:
        return type(error), error.message, error.hint, error.status, error.retry_after_s

    file = new_file(SIZE)
    async with fetching(emulator) as parts:
        await parts.started()
        for kind, params in FAULTS:
            seen = []
            for fetcher in (parts.here, parts.process):
                progress = Progress()
                get = await parts.get(file, start=1000, length=200_000, progress=progress)
                emulator.fault(kind, origin="cdn", **params)
                with pytest.raises(DriveError) as caught:
                    await fetcher.fetch(get)
                seen.append(facts(caught.value))
                right = parts.true(file)[1000 : 1000 + progress.filled]
                assert bytes(get.buffer[: progress.filled]) == right, kind
            assert seen[0] == seen[1], kind
            assert "http" not in seen[0][1]
        assert parts.process.gets == 2 * len(FAULTS)


@real
async def test_a_url_that_is_not_https_never_reaches_it(emulator: EmulatorProcess) -> None:
    async with fetching(emulator) as parts:
        await parts.started()
        for url in ("file:///etc/passwd", "http://example.com/secret?Signature=abc"):
            with pytest.raises(BadResponseError) as caught:
                await parts.process.fetch(a_get(url, 1, buffer=parts.buffer(5), total_bytes=5))
            assert "Signature" not in caught.value.message
        for url in ("https://127.0.0.1:9/\ud800", "https://127.0.0.1:9/" + "x" * 9_000_000):
            with pytest.raises(DriveError) as told:
                await parts.process.fetch(a_get(url, 1, buffer=parts.buffer(5), total_bytes=5))
            assert "127.0.0.1:9/" not in told.value.message
        assert parts.process.pid is not None


@real
async def test_more_is_said_than_it_can_hear_at_once(
    emulator: EmulatorProcess, new_file: NewFile
) -> None:
    file = new_file(SIZE)
    count = 600
    async with fetching(emulator) as parts:
        pid = await parts.started()
        (part,) = (await parts.aps.sign(file)).parts
        sinks = [parts.buffer(4096) for _ in range(count)]
        os.kill(pid, signal.SIGSTOP)
        async with trio.open_nursery() as nursery:
            for at, buffer in enumerate(sinks):
                get = a_get(part.url, 1, start=at * 4096, buffer=buffer, total_bytes=SIZE)
                nursery.start_soon(parts.process.fetch, get)
            await trio.sleep(0.2)
            os.kill(pid, signal.SIGCONT)
        assert b"".join(sinks) == parts.true(file)[: count * 4096]
        assert (parts.here.gets, parts.process.pid) == (0, pid)


@real
async def test_it_verifies_certificates(tmp_path: Path) -> None:
    trustme = pytest.importorskip("trustme")
    ca, stranger = trustme.CA(), trustme.CA()
    cert = ca.issue_cert("127.0.0.1")
    cert.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    (tmp_path / "cert.pem").write_bytes(b"".join(b.bytes() for b in cert.cert_chain_pems))
    for name, authority in (("right.pem", ca), ("wrong.pem", stranger)):
        authority.cert_pem.write_to_path(str(tmp_path / name))
    right = str(tmp_path / "right.pem")
    with EmulatorProcess(
        world="small:files=1,min=10,max=20",
        tls_cert=str(tmp_path / "cert.pem"), tls_key=str(tmp_path / "key.pem"),
    ) as emulator:  # fmt: skip
        file = a_new_file(emulator, SIZE)
        for bundle in ("right.pem", "wrong.pem"):
            async with fetching(emulator, bundle=str(tmp_path / bundle), api_bundle=right) as parts:
                await parts.started()
                get = await parts.get(file)
                if bundle == "right.pem":
                    await parts.process.fetch(get)
                    assert bytes(get.buffer) == parts.true(file)
                else:
                    with pytest.raises(UnreachableError, match=r"(?i)certificate|ssl"):
                        await parts.process.fetch(get)
                assert parts.here.gets == 0
