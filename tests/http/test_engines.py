"""API calls through both engines, chosen by method."""

from __future__ import annotations

import gzip
import itertools
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trustme

from dmfs.errors import BadResponseError, CertificateError
from dmfs.http.engines import CHANGE_CONNECTIONS, CONNECTIONS, MethodRouter, open_engines
from dmfs.http.json_body import BODY_MAX_BYTES
from dmfs.http.json_client import ATTEMPTS, Call, JsonClient
from dmfs.http.tls import ca_bundle
from dmfs.ratelimit.limiter import RateLimiter
from tests.http.byte_server import ByteServer, Reply, byte_server, saying
from tests.support.fake_http import FakeService, json_response
from tests.support.helpers import real

CALL = Call(
    action="list hubs", route="hubs", method="GET", path="/hubs", params={"filter[a]": "b c"}
)
CHANGE = Call(
    action="save", route="new_item", method="POST", path="/items", json={"a": "ä"}, once=True
)
GRANT = Call(action="sign in", route="token", method="POST", path="/token", form={"a": "b"})


@asynccontextmanager
async def client_over(reply: Reply) -> AsyncIterator[tuple[JsonClient, ByteServer]]:
    async with byte_server(reply) as server, open_engines(ca_bundle("")) as engines:
        yield JsonClient(server.url, engines, RateLimiter()), server


@real
async def test_a_get_goes_to_one_engine_and_a_form_to_the_other() -> None:
    gets, others, changes = (
        FakeService(json_response({"by": "get"})),
        FakeService(json_response({"by": "post"})),
        FakeService(json_response({"by": "change"})),
    )
    client = JsonClient("https://api.example", MethodRouter(gets, others, changes), RateLimiter())
    assert await client.request(CALL) == {"by": "get"}
    assert await client.request(GRANT) == {"by": "post"}
    assert await client.request(CHANGE) == {"by": "change"}
    assert [request.method for request in gets.requests] == ["GET"]
    assert [request.form for request in others.requests] == [{"a": "b"}]
    assert [request.content for request in changes.requests] == [b'{"a":"\xc3\xa4"}']


@real
async def test_changes_that_hang_starve_no_token() -> None:
    async def reply(stream: trio.SocketStream, head: bytes) -> None:
        if head.startswith(b"POST /items"):
            await trio.sleep_forever()
        await saying(b'{"a": 1}')(stream, head)

    async with client_over(reply) as (client, server), trio.open_nursery() as nursery:
        for _ in range(CHANGE_CONNECTIONS + 3):
            nursery.start_soon(client.request, CHANGE)
        with trio.fail_after(20):
            while len(server.heads) < CHANGE_CONNECTIONS:
                await trio.sleep(0.01)
            assert await client.request(GRANT) == {"a": 1}
        assert server.most_open == CHANGE_CONNECTIONS + 1
        nursery.cancel_scope.cancel()


@real
async def test_an_unknown_authority_is_refused_with_the_hint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmfs.http.json_client.BACKOFF_FIRST_S", 0.01)
    ca, stranger = trustme.CA(), trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    for name, authority in (("right", ca), ("wrong", stranger)):
        authority.cert_pem.write_to_path(str(tmp_path / name))

    async def serve(stream: trio.SSLStream[trio.SocketStream]) -> None:
        try:
            await stream.receive_some()
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        except trio.BrokenResourceError:
            pass

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_ssl_over_tcp_listeners(0, context, host="127.0.0.1")
        transport = listeners[0].transport_listener
        assert isinstance(transport, trio.SocketListener)
        port = transport.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        async with open_engines(str(tmp_path / "right")) as engines:
            assert (
                await JsonClient(f"https://127.0.0.1:{port}", engines, RateLimiter()).request(CALL)
                == {}
            )
        async with open_engines(str(tmp_path / "wrong")) as engines:
            with pytest.raises(CertificateError) as caught:
                with trio.fail_after(20):
                    await JsonClient(f"https://127.0.0.1:{port}", engines, RateLimiter()).request(
                        CALL
                    )
        assert "ca_file" in caught.value.hint
        nursery.cancel_scope.cancel()


@real
async def test_gets_go_to_libcurl() -> None:
    async with client_over(saying(b'{"a": [1]}')) as (client, server):
        assert await client.request(CALL) == {"a": [1]}
        assert server.heads[0].startswith(b"GET /hubs?filter%5Ba%5D=b%20c HTTP/1.1\r\n")
        assert b"\r\nUser-Agent: dmfs\r\n" in server.heads[0]


@real
async def test_a_call_refuses_what_is_too_large_or_packed_twice() -> None:
    large = saying(gzip.compress(b" " * (BODY_MAX_BYTES + 1)), headers={"Content-Encoding": "gzip"})
    async with client_over(large) as (client, _server):
        with pytest.raises(BadResponseError, match="larger than 8 MiB"):
            await client.request(CALL)
    twice = saying(gzip.compress(b"{}"), headers={"Content-Encoding": "gzip, gzip"})
    async with client_over(twice) as (client, _server):
        with pytest.raises(BadResponseError, match="packed more than once"):
            await client.request(CALL)


@real
async def test_a_get_that_broke_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmfs.http.json_client.BACKOFF_FIRST_S", 0.01)
    tries = itertools.count(1)

    async def reply(stream: trio.SocketStream, head: bytes) -> None:
        if next(tries) < 3:
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{")
            await stream.aclose()
        else:
            await saying()(stream, head)

    async with client_over(reply) as (client, server):
        assert await client.request(CALL) == {}
        assert len(server.heads) == 3 <= ATTEMPTS


def test_there_are_connections_for_a_window_of_small_files() -> None:
    from dmfs.config import Settings
    from dmfs.fetch.connection_slots import DEMAND_RESERVE
    from dmfs.prefetch.file_series import MAX_WINDOW

    assert CONNECTIONS >= MAX_WINDOW
    assert Settings().connections - DEMAND_RESERVE >= MAX_WINDOW
