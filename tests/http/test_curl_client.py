"""GETs by libcurl, against a server that sends exactly what a test wants."""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from dmfs.http.client import (
    BrokenConnectionError,
    ConnectError,
    InvalidRequestError,
    NestedEncodingError,
    Request,
    Response,
    SilenceError,
    TransportError,
)
from dmfs.http.curl.client import CurlClient
from dmfs.http.headers import HEADERS_MAX_BYTES
from dmfs.http.tls import ca_bundle
from tests.http.byte_server import ByteServer, Reply, byte_server, saying
from tests.support.helpers import real


@asynccontextmanager
async def asking(
    reply: Reply, connections: int = 4
) -> AsyncIterator[tuple[CurlClient, ByteServer]]:
    client = CurlClient(ca_bundle=ca_bundle(""), connections=connections)
    async with byte_server(reply) as server, trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        yield client, server
        nursery.cancel_scope.cancel()
    client.close()


HEADERS = {"Accept": "application/json", "Authorization": "Bearer secret"}


async def ask(
    client: CurlClient, url: str, *, silence_s: float = 5.0, limit: int = 1_000_000
) -> Response:
    request = Request(
        "GET", url, HEADERS, silence_s=silence_s, body_max_bytes=limit, error_max_bytes=1000
    )
    return await client.send(request)


@real
async def test_a_question_and_its_answer() -> None:
    answer = saying(b'{"a": 1}', headers={"X-Request-Id": "7", "Set-Cookie": "a=b"})
    async with asking(answer) as (client, server):
        for _ in range(3):
            got = await ask(client, f"{server.url}/x/../y%2Fz?filter%5Ba%5D=b%20c")
            assert got.status == 200
            assert got.body == b'{"a": 1}'
            assert got.headers["x-request-id"] == "7"
            assert not got.truncated
        lines = server.heads[-1].decode().split("\r\n")
        assert lines[0] == "GET /x/../y%2Fz?filter%5Ba%5D=b%20c HTTP/1.1"  # as it was given
        assert "Authorization: Bearer secret" in lines
        assert "Accept: application/json" in lines
        assert not any(line.lower().startswith(("cookie", "expect", "referer")) for line in lines)
        assert server.connections == 1


@real
@pytest.mark.parametrize("status", ["404 Not Found", "429 Slow", "500 Broken", "204 Nothing"])
async def test_any_status_is_an_answer(status: str) -> None:
    body = b"" if status.startswith("204") else b'{"reason": "x"}'
    async with asking(saying(body, status)) as (client, server):
        got = await ask(client, server.url)
        assert (got.status, got.body) == (int(status[:3]), body)


@real
async def test_a_redirect_is_an_answer_and_moves_no_token() -> None:
    async with asking(saying(b"", "302 Found", {"Location": "/elsewhere"})) as (client, server):
        got = await ask(client, server.url)
        assert (got.status, got.headers["location"]) == (302, "/elsewhere")
        assert len(server.heads) == 1


@real
async def test_what_comes_before_the_answer_is_not_the_answer() -> None:
    async def reply(stream: trio.SocketStream, _head: bytes) -> None:
        await stream.send_all(b"HTTP/1.1 103 Early Hints\r\nX-Old: 1\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-New: 1\r\n\r\n{}")

    async with asking(reply) as (client, server):
        got = await ask(client, server.url)
        assert got.status == 200
        assert set(got.headers) == {"content-length", "x-new"}


@real
async def test_packed_answers_are_unpacked_once() -> None:
    body = json.dumps(list(range(50_000))).encode()
    packed = saying(gzip.compress(body), headers={"Content-Encoding": "gzip"})
    async with asking(packed) as (client, server):
        got = await ask(client, server.url)
        assert got.body == body
        assert b"Accept-Encoding: gzip, deflate" in server.heads[0]
    for headers in ({"Content-Encoding": "gzip, gzip"},
                    {"Content-Encoding": "gzip\r\nContent-Encoding: gzip"}):  # fmt: skip
        twice = saying(gzip.compress(gzip.compress(body)), headers=headers)
        async with asking(twice) as (client, server):
            with pytest.raises(NestedEncodingError):
                await ask(client, server.url)


@real
async def test_a_body_is_cut_at_its_limit_and_unpacked_no_further() -> None:
    bomb = zlib.compress(bytes(64 << 20), 9)
    for reply, limit in (
        (saying(bytes(5000)), 4000),
        (saying(bomb, headers={"Content-Encoding": "deflate"}), 1_000_000),
    ):
        async with asking(reply) as (client, server):
            got = await ask(client, server.url, limit=limit)
            assert got.truncated
            assert limit < len(got.body) <= limit + 64 * 1024
    async with asking(saying(bytes(5000), "400 Bad")) as (client, server):
        got = await ask(client, server.url)  # its limit is another
        assert (got.status, got.truncated) == (400, True)
    async with asking(saying(bytes(4000))) as (client, server):
        assert not (await ask(client, server.url, limit=4000)).truncated


@real
async def test_headers_have_a_limit() -> None:
    headers = {f"X-{n}": "v" * 1000 for n in range(HEADERS_MAX_BYTES // 1000 + 1)}
    async with asking(saying(headers=headers)) as (client, server):
        with pytest.raises(TransportError):
            await ask(client, server.url)


@real
async def test_silence_ends_a_question_and_a_drip_does_not() -> None:
    async def silent(stream: trio.SocketStream, _head: bytes) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{")
        await stream.receive_some()

    async with asking(silent) as (client, server):
        with pytest.raises(SilenceError, match="nothing came for"):
            await ask(client, server.url, silence_s=0.3)
        with trio.fail_after(20):
            while server.open:
                await trio.sleep(0.01)  # the connection is given up

    async def dripping(stream: trio.SocketStream, _head: bytes) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n")
        for _ in range(12):
            await trio.sleep(0.1)
            await stream.send_all(b"x")

    async with asking(dripping) as (client, server):
        assert (await ask(client, server.url, silence_s=1.0)).body == b"x" * 12


@real
async def test_a_question_that_is_called_off_gives_its_connection_up() -> None:
    async def never(stream: trio.SocketStream, _head: bytes) -> None:
        await stream.receive_some()

    async with asking(never) as (client, server):
        for number in range(10):  # more than there are connections
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, client, server.url)
                while len(server.heads) <= number:
                    await trio.sleep(0.01)
                nursery.cancel_scope.cancel()
        with trio.fail_after(20):
            while server.open:
                await trio.sleep(0.01)
        assert len(server.heads) == 10


@real
async def test_no_more_connections_than_allowed_and_each_used_again() -> None:
    async def slow(stream: trio.SocketStream, head: bytes) -> None:
        await trio.sleep(0.02)
        number = head.split()[1][1:]
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(number))
        await stream.send_all(number)

    async with asking(slow, connections=3) as (client, server):
        answers: dict[int, bytes] = {}

        async def one(number: int) -> None:
            answers[number] = (await ask(client, f"{server.url}/{number}")).body

        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(one, number)
        assert answers == {number: str(number).encode() for number in range(30)}
        assert len(client._idle) == 3, "of handles neither"
        assert server.most_open <= 3
        assert server.connections <= 3


@real
async def test_waiting_for_a_connection_is_no_silence() -> None:
    async def slow(stream: trio.SocketStream, head: bytes) -> None:
        await trio.sleep(0.2)
        await saying()(stream, head)

    async with asking(slow, connections=1) as (client, server), trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(partial(ask, client, server.url, silence_s=0.6))


@real
async def test_a_connection_that_died_idle_is_not_noticed() -> None:
    counter = itertools.count()

    async def reply(stream: trio.SocketStream, _head: bytes) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        if next(counter) % 2 == 0:
            await stream.aclose()

    async with asking(reply) as (client, server):
        for _ in range(6):
            assert (await ask(client, server.url)).body == b"{}"
            await trio.sleep(0.02)


@real
async def test_what_breaks_says_what_broke_and_nothing_of_the_token() -> None:
    async def gone(stream: trio.SocketStream, _head: bytes) -> None:
        await stream.aclose()

    async def half(stream: trio.SocketStream, _head: bytes) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{")
        await stream.aclose()

    async def nonsense(stream: trio.SocketStream, _head: bytes) -> None:
        await stream.send_all(b"SSH-2.0-OpenSSH_9.2\r\n" * 3)
        await stream.aclose()

    for reply in (gone, half, nonsense):
        async with asking(reply) as (client, server):
            with pytest.raises(BrokenConnectionError) as caught:
                await ask(client, f"{server.url}/path?token=secret")
            assert str(caught.value)
            assert "secret" not in str(caught.value)
            with pytest.raises(ConnectError, match=r"(?i)connect"):
                await ask(client, "http://127.0.0.1:1/")  # and it goes on
            for url, headers in (("http://[nonsense", {}), (server.url, {"A": "b\r\nC: d"})):
                with pytest.raises(InvalidRequestError, match="takes no such request"):
                    await client.send(Request("GET", url, headers))


@real
async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking(saying(b"", "407 Who are you")) as (client, server):
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass@127.0.0.1:{server.port}")
        with pytest.raises(ConnectError) as caught:
            await ask(client, "https://api.example/hubs")
        assert server.heads[0].startswith(b"CONNECT api.example:443 HTTP/1.1")
        assert b"secret" not in b"".join(server.heads)
        assert "pass" not in str(caught.value)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        with pytest.raises(TransportError):
            await ask(client, f"https://127.0.0.1:{server.port}/", silence_s=0.5)
        assert server.connections >= 2  # directly (and no TLS there)


@real
async def test_an_idle_drive_is_not_woken() -> None:
    """libcurl's timers end with the client."""
    async with asking(saying()) as (client, server):
        await ask(client, server.url)
        await trio.sleep(0.1)
        acts = 0
        act = client._multi.act

        def counted(*, timer_due: bool) -> bool:
            nonlocal acts
            acts += 1
            return act(timer_due=timer_due)

        client._multi.act = counted  # type: ignore[method-assign]
        await trio.sleep(1.5)
        assert acts <= 2


@real
async def test_only_a_get_is_sent() -> None:
    """libcurl may send a request twice."""
    async with asking(saying()) as (client, server):
        with pytest.raises(InvalidRequestError):
            await client.send(Request("POST", server.url, form={"a": "b"}))
        assert server.heads == []
