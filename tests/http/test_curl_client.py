"""Questions by libcurl, against a server that says exactly what a test wants, byte by byte."""

from __future__ import annotations

import gzip
import itertools
import json
import ssl
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio
import trustme

from dmfs.errors import BadResponseError, UnreachableError
from dmfs.http.curl_client import Answer, CurlClient, NestedEncodingError, TransportError
from dmfs.http.headers import HEADERS_MAX_BYTES
from dmfs.http.json_client import (
    ATTEMPTS,
    BODY_MAX_BYTES,
    CONNECTIONS,
    Call,
    Clients,
    JsonClient,
    open_clients,
)
from dmfs.http.tls import ca_bundle
from dmfs.ratelimit.limiter import RateLimiter
from tests.support.helpers import real

Reply = Callable[[trio.SocketStream, bytes], Awaitable[None]]
CALL = Call(what="list hubs", route="hubs", method="GET", path="/hubs", params={"filter[a]": "b c"})


class Server:
    """Hands every request's head to ``reply``; counts connections and what is under way."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self.port = 0
        self.heads: list[bytes] = []
        self.connections = self.open = self.most_open = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def serve(self, stream: trio.SocketStream) -> None:
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            head = b""
            while True:
                while b"\r\n\r\n" not in head:
                    some = await stream.receive_some()
                    if not some:
                        return
                    head += bytes(some)
                self.heads.append(head)
                await self._reply(stream, head)
                head = b""
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it went away, or we did
        finally:
            self.open -= 1
            await trio.aclose_forcefully(stream)


@asynccontextmanager
async def asking(reply: Reply, connections: int = 4) -> AsyncIterator[tuple[CurlClient, Server]]:
    server = Server(reply)
    questions = CurlClient(ca_bundle=ca_bundle(""), connections=connections)
    async with trio.open_nursery() as nursery:
        listeners: list[trio.SocketListener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server.port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, server.serve, listeners)
        nursery.start_soon(questions.run)
        yield questions, server
        nursery.cancel_scope.cancel()
    questions.close()


def saying(
    body: bytes = b"{}", status: str = "200 OK", headers: Mapping[str, str] | None = None
) -> Reply:
    lines = {"Content-Length": str(len(body))} | dict(headers or {})
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    whole = f"HTTP/1.1 {status}\r\n{text}\r\n".encode() + body

    async def reply(stream: trio.SocketStream, _head: bytes) -> None:
        await stream.send_all(whole)

    return reply


async def ask(
    questions: CurlClient, url: str, *, silence_s: float = 5.0, limit: int = 1_000_000
) -> Answer:
    return await questions.ask(
        url, {"Accept": "application/json", "Authorization": "Bearer secret"},
        silence_s=silence_s, body_max_bytes=limit, error_max_bytes=1000,
    )  # fmt: skip


@real
async def test_a_question_and_its_answer() -> None:
    answer = saying(b'{"a": 1}', headers={"X-Request-Id": "7", "Set-Cookie": "a=b"})
    async with asking(answer) as (questions, server):
        for _ in range(3):
            got = await ask(questions, f"{server.url}/x/../y%2Fz?filter%5Ba%5D=b%20c")
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
    async with asking(saying(body, status)) as (questions, server):
        got = await ask(questions, server.url)
        assert (got.status, got.body) == (int(status[:3]), body)


@real
async def test_a_redirect_is_an_answer_and_moves_no_token() -> None:
    async with asking(saying(b"", "302 Found", {"Location": "/elsewhere"})) as (questions, server):
        got = await ask(questions, server.url)
        assert (got.status, got.headers["location"]) == (302, "/elsewhere")
        assert len(server.heads) == 1


@real
async def test_what_comes_before_the_answer_is_not_the_answer() -> None:
    async def reply(stream: trio.SocketStream, _head: bytes) -> None:
        await stream.send_all(b"HTTP/1.1 103 Early Hints\r\nX-Old: 1\r\n\r\n")
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-New: 1\r\n\r\n{}")

    async with asking(reply) as (questions, server):
        got = await ask(questions, server.url)
        assert got.status == 200
        assert set(got.headers) == {"content-length", "x-new"}


@real
async def test_packed_answers_are_unpacked_once() -> None:
    body = json.dumps(list(range(50_000))).encode()
    packed = saying(gzip.compress(body), headers={"Content-Encoding": "gzip"})
    async with asking(packed) as (questions, server):
        got = await ask(questions, server.url)
        assert got.body == body
        assert b"Accept-Encoding: gzip, deflate" in server.heads[0]
    for headers in ({"Content-Encoding": "gzip, gzip"},
                    {"Content-Encoding": "gzip\r\nContent-Encoding: gzip"}):  # fmt: skip
        twice = saying(gzip.compress(gzip.compress(body)), headers=headers)
        async with asking(twice) as (questions, server):
            with pytest.raises(NestedEncodingError):
                await ask(questions, server.url)


@real
async def test_a_body_is_cut_at_its_limit_and_unpacked_no_further() -> None:
    bomb = zlib.compress(bytes(64 << 20), 9)
    for reply, limit in (
        (saying(bytes(5000)), 4000),
        (saying(bomb, headers={"Content-Encoding": "deflate"}), 1_000_000),
    ):
        async with asking(reply) as (questions, server):
            got = await ask(questions, server.url, limit=limit)
            assert got.truncated
            assert limit < len(got.body) <= limit + 64 * 1024
    async with asking(saying(bytes(5000), "400 Bad")) as (questions, server):
        got = await ask(questions, server.url)  # its limit is another
        assert (got.status, got.truncated) == (400, True)
    async with asking(saying(bytes(4000))) as (questions, server):
        assert not (await ask(questions, server.url, limit=4000)).truncated


@real
async def test_headers_have_a_limit() -> None:
    headers = {f"X-{n}": "v" * 1000 for n in range(HEADERS_MAX_BYTES // 1000 + 1)}
    async with asking(saying(headers=headers)) as (questions, server):
        with pytest.raises(TransportError):
            await ask(questions, server.url)


@real
async def test_silence_ends_a_question_and_a_drip_does_not() -> None:
    async def silent(stream: trio.SocketStream, _head: bytes) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{")
        await stream.receive_some()

    async with asking(silent) as (questions, server):
        began = trio.current_time()
        with pytest.raises(TransportError, match="nothing came for"):
            await ask(questions, server.url, silence_s=0.3)
        assert 0.3 <= trio.current_time() - began < 3
        with trio.fail_after(3):
            while server.open:
                await trio.sleep(0.01)  # the connection is given up

    async def dripping(stream: trio.SocketStream, _head: bytes) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n")
        for _ in range(12):
            await trio.sleep(0.1)
            await stream.send_all(b"x")

    async with asking(dripping) as (questions, server):
        assert (await ask(questions, server.url, silence_s=0.5)).body == b"x" * 12


@real
async def test_a_question_that_is_called_off_gives_its_connection_up() -> None:
    async def never(stream: trio.SocketStream, _head: bytes) -> None:
        await stream.receive_some()

    async with asking(never) as (questions, server):
        for _ in range(10):  # more than there are connections
            with trio.move_on_after(0.05):
                await ask(questions, server.url)
        with trio.fail_after(3):
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

    async with asking(slow, connections=3) as (questions, server):
        answers: dict[int, bytes] = {}

        async def one(number: int) -> None:
            answers[number] = (await ask(questions, f"{server.url}/{number}")).body

        async with trio.open_nursery() as nursery:
            for number in range(30):
                nursery.start_soon(one, number)
        assert answers == {number: str(number).encode() for number in range(30)}
        assert len(questions._idle) == 3, "of handles neither"
        assert server.most_open <= 3
        assert server.connections <= 3


@real
async def test_waiting_for_a_connection_is_no_silence() -> None:
    async def slow(stream: trio.SocketStream, head: bytes) -> None:
        await trio.sleep(0.2)
        await saying()(stream, head)

    async with asking(slow, connections=1) as (questions, server), trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(partial(ask, questions, server.url, silence_s=0.6))


@real
async def test_a_connection_that_died_idle_is_not_noticed() -> None:
    counter = itertools.count()

    async def reply(stream: trio.SocketStream, _head: bytes) -> None:
        await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        if next(counter) % 2 == 0:
            await stream.aclose()

    async with asking(reply) as (questions, server):
        for _ in range(6):
            assert (await ask(questions, server.url)).body == b"{}"
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
        async with asking(reply) as (questions, server):
            with pytest.raises(TransportError) as told:
                await ask(questions, f"{server.url}/path?token=secret")
            assert str(told.value)
            assert "secret" not in str(told.value)
            with pytest.raises(TransportError, match=r"(?i)connect"):
                await ask(questions, "http://127.0.0.1:1/")  # and it goes on
            for url, headers in (("http://[nonsense", {}), (server.url, {"A": "b\r\nC: d"})):
                with pytest.raises(TransportError, match="takes no such request"):
                    await questions.ask(
                        url, headers, silence_s=1, body_max_bytes=1, error_max_bytes=1
                    )


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
        async with open_clients(str(tmp_path / "right")) as clients:
            assert (
                await JsonClient(f"https://127.0.0.1:{port}", clients, RateLimiter()).ask(CALL)
                == {}
            )
        async with open_clients(str(tmp_path / "wrong")) as clients:
            with pytest.raises(UnreachableError) as told:
                with trio.fail_after(20):
                    await JsonClient(f"https://127.0.0.1:{port}", clients, RateLimiter()).ask(CALL)
        assert "ca_file" in told.value.hint
        nursery.cancel_scope.cancel()


@real
async def test_a_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with asking(saying(b"", "407 Who are you")) as (questions, server):
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:pass@127.0.0.1:{server.port}")
        with pytest.raises(TransportError) as told:
            await ask(questions, "https://api.example/hubs")
        assert server.heads[0].startswith(b"CONNECT api.example:443 HTTP/1.1")
        assert b"secret" not in b"".join(server.heads)
        assert "pass" not in str(told.value)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        with pytest.raises(TransportError):
            await ask(questions, f"https://127.0.0.1:{server.port}/", silence_s=0.5)
        assert server.connections >= 2  # directly (and no TLS there)


@real
async def test_an_idle_drive_is_not_woken() -> None:
    """libcurl's timers end with the questions."""
    async with asking(saying()) as (questions, server):
        await ask(questions, server.url)
        await trio.sleep(0.1)
        acts = 0
        act = questions._multi.act

        def counted(*, timer_due: bool) -> bool:
            nonlocal acts
            acts += 1
            return act(timer_due=timer_due)

        questions._multi.act = counted  # type: ignore[method-assign]
        await trio.sleep(1.5)
        assert acts <= 2


# Through the Wire


@asynccontextmanager
async def wire_over(reply: Reply) -> AsyncIterator[tuple[JsonClient, Server]]:
    async with (
        asking(reply) as (questions, server),
        # it must not be asked: it would break
        httpx.AsyncClient(transport=httpx.MockTransport(_no_form)) as forms,
    ):
        yield JsonClient(server.url, Clients(forms, questions), RateLimiter()), server


def _no_form(request: httpx.Request) -> httpx.Response:
    raise AssertionError("a question went to the client for forms")


@real
async def test_wire_asks_its_questions_by_libcurl() -> None:
    async with wire_over(saying(b'{"a": [1]}')) as (wire, server):
        assert await wire.ask(CALL) == {"a": [1]}
        assert server.heads[0].startswith(b"GET /hubs?filter%5Ba%5D=b%20c HTTP/1.1\r\n")
        assert b"\r\nUser-Agent: dmfs\r\n" in server.heads[0]


@real
async def test_wire_refuses_what_is_too_large_or_packed_twice() -> None:
    large = saying(gzip.compress(b" " * (BODY_MAX_BYTES + 1)), headers={"Content-Encoding": "gzip"})
    async with wire_over(large) as (wire, _server):
        with pytest.raises(BadResponseError, match="larger than 8 MiB"):
            await wire.ask(CALL)
    twice = saying(gzip.compress(b"{}"), headers={"Content-Encoding": "gzip, gzip"})
    async with wire_over(twice) as (wire, _server):
        with pytest.raises(BadResponseError, match="packed more than once"):
            await wire.ask(CALL)


@real
async def test_wire_tries_a_broken_question_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmfs.http.json_client.BACKOFF_FIRST_S", 0.01)
    tries = itertools.count(1)

    async def reply(stream: trio.SocketStream, head: bytes) -> None:
        if next(tries) < 3:
            await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{")
            await stream.aclose()
        else:
            await saying()(stream, head)

    async with wire_over(reply) as (wire, server):
        assert await wire.ask(CALL) == {}
        assert len(server.heads) == 3 <= ATTEMPTS


def test_there_are_connections_for_a_window_of_small_files() -> None:
    from dmfs.config import Settings
    from dmfs.fetch.connection_slots import DEMAND_RESERVE
    from dmfs.prefetch.file_series import MAX_WINDOW

    assert CONNECTIONS >= MAX_WINDOW
    assert Settings().connections - DEMAND_RESERVE >= MAX_WINDOW
