"""Parts over sockets: what is sent, and each way to get stuck, to break and to be given up."""

from __future__ import annotations

import os
import ssl
from pathlib import Path

import pytest
import trio
import trustme

from dmfs.errors import (
    BadResponseError,
    CertificateError,
    DriveError,
    ShortageError,
    SpoolError,
    UnreachableError,
)
from dmfs.http.tls import ca_bundle
from dmfs.write.parts.slices import FileSlice, Zeros
from dmfs.write.parts.thread_sender import ThreadSender
from tests.support.helpers import real
from tests.write.parts.parts import MIB, part, sending
from tests.write.parts.storage import Received, Storage, open_storage


@real
async def test_a_part_of_all_kinds_of_pieces(descriptor: int) -> None:
    async with sending() as (sender, storage):
        pieces = FileSlice(descriptor, 80, 16), Zeros(3), b"abc", memoryview(b"xyz")[1:]
        etag = await sender.put(part(storage.url(), *pieces))
        put = storage.puts[0]
        assert put.body == b"".join(n.to_bytes(8, "big") for n in (10, 11)) + b"\0\0\0abcyz"
        assert etag == put.md5.hexdigest()
        assert put.line == "PUT /part?sig=s3cret HTTP/1.1"
        assert set(put.fields) == {"host", "user-agent", "content-length"}, "the URL signs no more"
        assert sender.gauges() == {"parts.begun": 1, "parts.sent_bytes": 24}


@real
async def test_an_empty_part_is_one() -> None:
    async with sending() as (sender, storage):
        assert await sender.put(part(storage.url())) == "d41d8cd98f00b204e9800998ecf8427e"
        assert storage.puts[0].fields["content-length"] == "0"


@real
async def test_parts_share_a_connection_and_their_progress_is_told(descriptor: int) -> None:
    async with sending(connections=1) as (sender, storage):
        figures: list[int] = []
        for number in range(3):
            await sender.put(
                part(storage.url(f"/{number}"), FileSlice(descriptor, 0, 8 * MIB),
                     on_sent=figures.append)
            )  # fmt: skip
        assert storage.connections == 1
        assert {put.count for put in storage.puts} == {8 * MIB}
    ends = [number for number, figure in enumerate(figures) if figure == 8 * MIB]
    assert len(ends) >= 3
    assert figures[-1] == 8 * MIB
    assert all(0 < figure <= 8 * MIB for figure in figures)
    assert len(figures) < 3 * 8 * MIB // 16384, "coalesced"


@real
async def test_a_reset_in_the_middle_is_unreachable(descriptor: int) -> None:
    async def reset(put: Received) -> None:
        await put.read(MIB)
        put.stream.socket.setsockopt(
            trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, b"\1\0\0\0\0\0\0\0"
        )
        put.stream.socket.close()
        raise trio.BrokenResourceError

    async def close_unanswered(put: Received) -> None:
        await put.read()
        await put.stream.aclose()

    async with sending() as (sender, storage):
        storage.behaviours |= {"/reset": reset, "/close": close_unanswered}
        for path in ("/reset", "/close"):
            with pytest.raises(UnreachableError) as caught:
                await sender.put(part(storage.url(path), FileSlice(descriptor, 0, 8 * MIB)))
            assert caught.value.status == 0
        with pytest.raises(UnreachableError):
            await sender.put(part("http://127.0.0.1:1/", b"abc"))


@real
async def test_a_kept_connection_that_is_dead_begins_anew(descriptor: int) -> None:
    """libcurl rewinds: the part that arrives is whole."""

    async def take_and_leave(put: Received) -> None:
        await put.read()
        await put.say("200 OK", fields={"ETag": '"one"'})

    async def leave(put: Received) -> None:
        storage.behaviours.pop("/second")
        await put.stream.aclose()

    async with sending(connections=1) as (sender, storage):
        storage.behaviours |= {"/first": take_and_leave, "/second": leave}
        assert await sender.put(part(storage.url("/first"), b"abc")) == "one"
        await sender.put(part(storage.url("/second"), FileSlice(descriptor, 0, 100_000)))
        assert storage.puts[-1].count == 100_000
        assert storage.puts[-1].body == os.pread(descriptor, 100_000, 0)
        assert len(storage.puts) == 3


@pytest.mark.parametrize("when", ["before the body", "in the middle", "before the answer"])
def test_a_stall_ends_and_says_so(descriptor: int, when: str) -> None:
    async def stall(put: Received) -> None:
        stops = {"before the body": 0, "in the middle": MIB, "before the answer": put.length}
        await put.read(stops[when])
        await trio.sleep_forever()

    @real
    async def body() -> None:
        async with sending(stall_timeout_s=0.15) as (sender, storage):
            storage.behaviours["/part"] = stall
            with pytest.raises(UnreachableError):
                await sender.put(part(storage.url(), *[FileSlice(descriptor, 0, 8 * MIB)] * 2))

    body()


@real
async def test_a_slow_reader_is_no_stall(descriptor: int) -> None:
    async def slow(put: Received) -> None:
        for step in range(8):
            await put.read(step * MIB)
            await trio.sleep(0.1)
        await put.read()
        await put.say("200 OK", fields={"ETag": '"slow"'})

    async with sending(stall_timeout_s=0.4) as (sender, storage):
        storage.behaviours["/part"] = slow
        whole = FileSlice(descriptor, 0, 8 * MIB)
        assert await sender.put(part(storage.url(), whole)) == "slow"


@real
async def test_cancelling_gives_the_connection_up_and_the_descriptor_is_free(
    tmp_path: Path,
) -> None:
    """What the number means afterwards is never sent."""
    path, arrived = tmp_path / "data", trio.Event()
    path.write_bytes(b"a" * 64 * MIB)
    seen = b""

    async def watch(put: Received) -> None:
        nonlocal seen
        await put.read(MIB)
        arrived.set()
        try:
            while some := await put.stream.receive_some():
                seen += bytes(some).strip(b"a")
        finally:
            ended.set()

    ended = trio.Event()
    async with sending() as (sender, storage), trio.open_nursery() as nursery:
        storage.behaviours["/part"] = watch
        ours = os.open(path, os.O_RDONLY)
        figures: list[int] = []
        nursery.start_soon(
            sender.put, part(storage.url(), FileSlice(ours, 0, 64 * MIB), on_sent=figures.append)
        )
        await arrived.wait()
        nursery.cancel_scope.cancel()
        os.close(ours)
        other = os.memfd_create("another")
        os.ftruncate(other, 64 * MIB)
        with trio.CancelScope(shield=True), trio.fail_after(20):
            await ended.wait()
            count = len(figures)
            await sender.put(part(storage.url("/next"), b"abc"))
        os.close(other)
        assert len(figures) == count
    assert seen == b""


@real
async def test_cancelling_while_nothing_moves_gives_the_connection_up(descriptor: int) -> None:
    arrived, ended = trio.Event(), trio.Event()

    async def wait_for_the_end(put: Received) -> None:
        await put.read()
        arrived.set()
        await put.stream.receive_some()
        ended.set()

    async with sending() as (sender, storage), trio.open_nursery() as nursery:
        storage.behaviours["/part"] = wait_for_the_end
        nursery.start_soon(sender.put, part(storage.url(), FileSlice(descriptor, 0, MIB)))
        await arrived.wait()
        nursery.cancel_scope.cancel()
        with trio.CancelScope(shield=True), trio.fail_after(20):
            await ended.wait()


@real
async def test_the_kernel_takes_little_ahead_of_what_it_sends(descriptor: int) -> None:
    """What counts as sent is on its way, or a slow line would look like a stall."""
    figures: list[int] = []

    async def never(_put: Received) -> None:
        await trio.sleep_forever()

    async with sending() as (sender, storage), trio.open_nursery() as nursery:
        storage.behaviours["/part"] = never
        whole = FileSlice(descriptor, 0, 8 * MIB)
        nursery.start_soon(sender.put, part(storage.url(), whole, on_sent=figures.append))
        await trio.sleep(0.2)
        nursery.cancel_scope.cancel()
    assert 0 < max(figures) < 1.6 * MIB


@real
async def test_twenty_parts_at_once_wait_their_turn_and_take_no_memory(descriptor: int) -> None:
    async with sending(connections=4) as (sender, storage):
        before = _resident_bytes()
        most = 0

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, _resident_bytes())
                await trio.sleep(0.01)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            async with trio.open_nursery() as parts:
                for number in range(20):
                    pieces = [FileSlice(descriptor, 0, 8 * MIB)] * 2
                    parts.start_soon(sender.put, part(storage.url(f"/{number}"), *pieces))
            nursery.cancel_scope.cancel()
        assert len({put.line for put in storage.puts}) == 20
        assert {put.count for put in storage.puts} == {16 * MIB}
        assert storage.most_busy == 4
        assert most - before < 48 * MIB, "320 MiB went"


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@real
async def test_one_that_waits_for_a_slot_can_be_cancelled() -> None:
    async def never(put: Received) -> None:
        await trio.sleep_forever()

    async with sending(connections=1) as (sender, storage), trio.open_nursery() as nursery:
        storage.behaviours["/never"] = never
        nursery.start_soon(sender.put, part(storage.url("/never"), b"abc"))
        await trio.sleep(0.05)
        with trio.move_on_after(0.05) as scope:
            await sender.put(part(storage.url(), b"abc"))
        assert scope.cancelled_caught
        assert len(storage.puts) == 1
        nursery.cancel_scope.cancel()


@real
async def test_the_rate_of_all_together_can_be_set_while_they_go(descriptor: int) -> None:
    async with sending(connections=4) as (sender, storage), trio.open_nursery() as nursery:
        sender.max_bytes_per_s = 256 * 1024
        for number in range(4):
            whole = FileSlice(descriptor, 0, 8 * MIB)
            nursery.start_soon(sender.put, part(storage.url(f"/{number}"), whole))
        while len(storage.puts) < 4:
            await trio.sleep(0.01)
        await trio.sleep(0.2)
        count = sum(put.count for put in storage.puts)
        assert count < 4 * MIB, "a moment's worth of each; without a limit all were there"
        sender.max_bytes_per_s = 0
    assert {put.count for put in storage.puts} == {8 * MIB}


@real
async def test_a_spool_that_fails_ends_its_part_alone(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"abc")
    ours = os.open(tmp_path / "short", os.O_RDONLY)
    async with sending() as (sender, storage):
        with pytest.raises(SpoolError):
            await sender.put(part(storage.url(), FileSlice(ours, 0, 4)))
        await sender.put(part(storage.url(), FileSlice(ours, 0, 3)))
    os.close(ours)


@real
async def test_urls_that_nothing_is_sent_to() -> None:
    async with sending() as (sender, _storage):
        for url in ("http://example.com/?sig=s3cret", "file:///etc/passwd", "https://a:b@c/"):
            with pytest.raises(BadResponseError) as caught:
                await sender.put(part(url, b"abc"))
            assert "s3cret" not in caught.value.message
        assert sender.puts == 0


@real
async def test_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    ca, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(str(tmp_path / "right"))
    storage = Storage()
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1")
        transport = listeners[0].transport_listener
        assert isinstance(transport, trio.SocketListener)
        port = transport.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, storage.serve, listeners)
        for bundle, good in ((str(tmp_path / "right"), True), (ca_bundle(""), False)):
            sender = ThreadSender(ca_bundle=bundle, connections=1)
            sender.start()
            request = part(f"https://127.0.0.1:{port}/part", b"abc")
            if good:
                assert await sender.put(request) == storage.puts[0].md5.hexdigest()
            else:
                with pytest.raises(CertificateError):
                    await sender.put(request)
            sender.close()
        nursery.cancel_scope.cancel()


@real
async def test_no_part_outlives_its_sender() -> None:
    async def never(put: Received) -> None:
        await trio.sleep_forever()

    sender = ThreadSender(ca_bundle=ca_bundle(""), connections=1)
    with pytest.raises(UnreachableError, match="ended"):
        await sender.put(part("http://127.0.0.1:1/", b"abc"))
    sender.start()
    errors: list[DriveError] = []

    async def put(url: str) -> None:
        try:
            await sender.put(part(url, b"abc"))
        except DriveError as error:
            errors.append(error)

    async with open_storage() as storage:
        storage.behaviours["/part"] = never
        async with trio.open_nursery() as nursery:
            nursery.start_soon(put, storage.url())
            nursery.start_soon(put, storage.url())
            while not storage.puts:
                await trio.sleep(0.01)
            sender.close()
            sender.close()
    assert [type(error) for error in errors] == [UnreachableError] * 2


@real
async def test_a_machine_without_descriptors_is_no_fault_of_the_network(
    descriptor: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_descriptor: int) -> int:
        raise OSError(24, "Too many open files")

    async with sending() as (sender, storage):
        monkeypatch.setattr(os, "dup", refuse)
        with pytest.raises(ShortageError):
            await sender.put(part(storage.url(), FileSlice(descriptor, 0, 1)))
