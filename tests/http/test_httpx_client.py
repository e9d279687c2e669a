"""Forms by httpx: over sockets for what is sent, over a made-up transport for what comes."""

from __future__ import annotations

import gc
import gzip
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
import pytest
import trio
import trio.testing

from dmfs.http.client import (
    BrokenConnectionError,
    CertificateRejectedError,
    ConnectError,
    InvalidRequestError,
    NestedEncodingError,
    Request,
    Response,
    SilenceError,
    TransportError,
)
from dmfs.http.httpx_client import HttpxClient, open_httpx_client
from dmfs.http.tls import ca_bundle, client_context
from tests.http.byte_server import ByteServer, Reply, byte_server, saying
from tests.support.helpers import real, virtual

FORM = {"grant_type": "refresh_token", "scope": "data:read a+b"}
# httpx leaves its inner generators to the collector when a body is not read to its end
leaves_generators = pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore:Async generator:ResourceWarning"
)


@asynccontextmanager
async def posting(reply: Reply) -> AsyncIterator[tuple[HttpxClient, ByteServer]]:
    context = client_context(ca_bundle(""))
    async with byte_server(reply) as server, open_httpx_client(context) as client:
        yield client, server


async def answered(answer: Callable[[], httpx.Response], limit: int = 1000) -> Response:
    async def handler(_request: httpx.Request) -> httpx.Response:
        return answer()

    async with httpx.AsyncClient(transport=httpx.MockTransport(handler)) as client:
        return await HttpxClient(client).send(
            Request("POST", "https://api.example/x", body_max_bytes=limit)
        )


@real
async def test_a_form_and_its_response() -> None:
    answer = saying(b'{"a": 1}', "400 Bad Request", headers={"X-Request-Id": "7"})
    async with posting(answer) as (client, server):
        request = Request("POST", f"{server.url}/token", {"Authorization": "Basic x"}, FORM)
        got = await client.send(request)
        assert (got.status, got.body, got.truncated) == (400, b'{"a": 1}', False)
        assert not got.is_success
        assert got.headers["x-request-id"] == "7"
        head = server.heads[0]
    assert head.startswith(b"POST /token HTTP/1.1\r\n")
    assert b"application/x-www-form-urlencoded" in head
    assert b"Basic x" in head


@real
async def test_a_form_is_not_sent_twice_when_its_connection_dies() -> None:
    """A refresh token is good once. libcurl sends again on a reused connection."""

    async def reply(stream: trio.SocketStream, head: bytes) -> None:
        if head.startswith(b"POST /first"):
            await saying()(stream, head)
        else:
            await stream.aclose()

    async with posting(reply) as (client, server):
        await client.send(Request("POST", f"{server.url}/first"))
        with pytest.raises(BrokenConnectionError):
            await client.send(Request("POST", f"{server.url}/second"))
        assert [head.split()[1] for head in server.heads] == [b"/first", b"/second"]


@real
async def test_a_body_goes_as_it_is_with_the_type_it_was_given() -> None:
    whole = b""

    async def reply(stream: trio.SocketStream, head: bytes) -> None:
        nonlocal whole
        whole = head
        while len(whole.partition(b"\r\n\r\n")[2]) < 7:
            whole += bytes(await stream.receive_some())
        await saying()(stream, head)

    async with posting(reply) as (client, server):
        headers = {"Content-Type": "application/json"}
        request = Request("PATCH", f"{server.url}/items/a", headers, content=b'{"a":1}')
        await client.send(request)
        assert whole.endswith(b'\r\n\r\n{"a":1}')
        assert server.heads[0].startswith(b"PATCH /items/a HTTP/1.1\r\n")
        assert b"\r\nContent-Type: application/json\r\n" in server.heads[0]
        assert b"\r\nContent-Length: 7\r\n" in server.heads[0]


@real
async def test_a_body_whose_sending_ends_early_leaves_nothing_behind() -> None:
    """Warnings of generators that were not closed are errors here."""
    begun = trio.Event()

    async def does_not_read(_stream: trio.SocketStream, _head: bytes) -> None:
        begun.set()
        await trio.sleep_forever()

    async with posting(does_not_read) as (client, server), trio.open_nursery() as nursery:
        nursery.start_soon(client.send, Request("POST", server.url, content=bytes(1 << 25)))
        await begun.wait()
        await trio.testing.wait_all_tasks_blocked(0.02)
        nursery.cancel_scope.cancel()
    gc.collect()


@real
async def test_what_was_sent_is_known_from_what_was_not() -> None:
    async def hangs_up(stream: trio.SocketStream, _head: bytes) -> None:
        await stream.aclose()

    async with posting(hangs_up) as (client, server):
        with pytest.raises(BrokenConnectionError) as broken:
            await client.send(Request("POST", server.url, content=b"{}"))
        assert broken.value.sent
        with pytest.raises(ConnectError) as refused:
            await client.send(Request("POST", "http://127.0.0.1:1", content=b"{}"))
        assert not refused.value.sent


@real
async def test_a_tls_connection_that_breaks_before_it_stands_has_sent_nothing() -> None:
    async def hangs_up(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.aclose()

    async with trio.open_nursery() as nursery:
        listeners: list[trio.SocketListener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, hangs_up, listeners)
        async with open_httpx_client(client_context(ca_bundle(""))) as client:
            with pytest.raises(TransportError) as caught, trio.fail_after(20):
                await client.send(Request("POST", f"https://127.0.0.1:{port}", content=b"{}"))
        nursery.cancel_scope.cancel()
    assert not caught.value.sent


@real
async def test_a_proxys_own_handshake_is_not_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    async with byte_server(saying(b"", "407 Who are you")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with open_httpx_client(client_context(ca_bundle(""))) as client:
            with pytest.raises(ConnectError) as caught:
                await client.send(Request("POST", "https://api.example/x", content=b"{}"))
        assert not caught.value.sent
        assert proxy.heads[0].startswith(b"CONNECT ")


@virtual
async def test_where_no_step_is_seen_it_may_have_been_sent() -> None:
    def fail() -> httpx.Response:
        raise httpx.ReadError("reset")

    with pytest.raises(BrokenConnectionError) as caught:
        await answered(fail)
    assert caught.value.sent


@real
async def test_silence_ends_a_form() -> None:
    async def silent(stream: trio.SocketStream, _head: bytes) -> None:
        await stream.receive_some()

    async with posting(silent) as (client, server):
        with pytest.raises(SilenceError):
            await client.send(Request("POST", server.url, silence_s=0.1))


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (httpx.ConnectError("refused"), ConnectError), (httpx.ConnectTimeout(""), ConnectError),
        (httpx.ProxyError("407"), ConnectError), (OSError("no route"), ConnectError),
        (httpx.ReadTimeout(""), SilenceError), (httpx.WriteTimeout(""), SilenceError),
        (httpx.ReadError("reset"), BrokenConnectionError),
        (httpx.RemoteProtocolError("eh?"), BrokenConnectionError),
        (httpx.InvalidURL("no"), InvalidRequestError),
        (httpx.UnsupportedProtocol("ftp"), InvalidRequestError),
    ],
)  # fmt: skip
def test_each_failure_has_its_kind_and_a_text(
    failure: Exception, kind: type[TransportError]
) -> None:
    def fail() -> httpx.Response:
        raise failure

    @virtual
    async def body() -> None:
        with pytest.raises(TransportError) as caught:
            await answered(fail)
        assert type(caught.value) is kind
        assert str(caught.value) == (str(failure) or type(failure).__name__)

    body()


@virtual
async def test_a_certificate_is_known_by_its_type_and_not_by_a_word() -> None:
    def fail() -> httpx.Response:
        try:
            raise ssl.SSLCertVerificationError(1, "eine fremde Zunge")
        except ssl.SSLError as inner:
            raise httpx.ConnectError("") from inner

    with pytest.raises(CertificateRejectedError, match="Zunge"):
        await answered(fail)


@virtual
async def test_an_encoding_inside_another_is_refused_unopened() -> None:
    packed = gzip.compress(gzip.compress(b"{}"))
    for value in ("gzip, gzip", "gzip,br"):
        with pytest.raises(NestedEncodingError):
            await answered(
                lambda value=value: httpx.Response(  # type: ignore[misc]  # a lambda per value
                    200, headers={"content-encoding": value}, stream=httpx.ByteStream(packed)
                )
            )


@leaves_generators
@virtual
async def test_a_body_that_is_not_what_its_encoding_says_is_no_bug() -> None:
    def garbled() -> httpx.Response:
        async def chunks() -> AsyncIterator[bytes]:
            yield gzip.compress(b"{}" * 1000)[:20] + b"garbage garbage"

        return httpx.Response(200, headers={"Content-Encoding": "gzip"}, content=chunks())

    with pytest.raises(BrokenConnectionError):
        await answered(garbled)
    gc.collect()


@leaves_generators
@virtual
async def test_a_body_without_end_is_cut_off() -> None:
    sent = 0

    def endless() -> httpx.Response:
        async def chunks() -> AsyncIterator[bytes]:
            nonlocal sent
            while True:
                sent += 1 << 20
                yield b" " * (1 << 20)

        return httpx.Response(200, content=chunks())

    assert (await answered(endless, limit=8 << 20)).truncated
    assert sent < 40 << 20
    gc.collect()


@real
@pytest.mark.parametrize("proxied", [True, False])
async def test_a_host_that_can_have_no_name_is_a_request_that_cannot_be_sent(
    monkeypatch: pytest.MonkeyPatch, proxied: bool
) -> None:
    odd = f"http://{'x' * 200}.example"
    if proxied:
        monkeypatch.setenv("ALL_PROXY", odd)
    async with open_httpx_client(client_context(ca_bundle(""))) as client:
        with pytest.raises(InvalidRequestError):
            await client.send(Request("POST", "http://api.example/x" if proxied else odd))
