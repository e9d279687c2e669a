"""The port of metrics: GET /metrics for anybody on this machine, and nothing for nonsense."""

from __future__ import annotations

import logging
import socket
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from dmfs.control import exchange, metrics_port
from dmfs.control.metrics_port import CONNECTIONS
from dmfs.errors import SetupError
from dmfs.telemetry.metrics import CONTENT_TYPE
from tests.support.helpers import real

TEXT = b"# HELP x y\n# TYPE x gauge\nx 1\n"


async def render() -> bytes:
    return TEXT


async def asks(address: str, request: bytes, *, end: bool = True) -> bytes:
    """All that is answered."""
    host, _, port = address.rpartition(":")
    stream = await trio.open_tcp_stream(host.strip("[]"), int(port))
    async with stream:
        answer = b""
        try:
            await stream.send_all(request)
            if end:
                await stream.send_eof()
            async for piece in stream:
                answer += piece
        except trio.BrokenResourceError:  # closed with something of ours unread
            pass
        return answer


def get(target: str = "/metrics", method: str = "GET", more: str = "") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode()


def status_of(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
@real
async def test_it_answers_get_metrics_on_loopback(host: str) -> None:
    async with metrics_port.metrics_port(f"{host}:0", render) as address:
        answer = await asks(address, get())
        head, _, body = answer.partition(b"\r\n\r\n")
        assert status_of(answer) == 200
        assert body == TEXT
        assert f"Content-Type: {CONTENT_TYPE}".encode() in head
        head, _, body = (await asks(address, get(method="HEAD"))).partition(b"\r\n\r\n")
        assert (body, b"200" in head) == (b"", True)
        assert status_of(await asks(address, get("/metrics?collect=all"))) == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/"), 404), (get("/v1/status"), 404), (get("/metrics/"), 404),
        (get("/v1/offline", "POST"), 404), (get(method="POST", more="Content-Length: 0\r\n"), 405),
        (get(method="DELETE"), 405), (b"\x16\x03\x01 TLS\r\n\r\n", 400), (b"GET\r\n\r\n", 400),
        (b"GET /metrics HTTP/1.1\r\n\r\n", 400), (b"", 0), (b"GET /met", 400),
    ],
)  # fmt: skip
@real
async def test_it_answers_nothing_else(request_: bytes, status: int) -> None:
    async with metrics_port.metrics_port("127.0.0.1:0", render) as address:
        answer = await asks(address, request_)
        assert status_of(answer) == status
        assert TEXT not in answer
        assert status_of(await asks(address, get())) == 200


@real
async def test_a_request_without_an_end_is_cut_at_64_kib() -> None:
    async with metrics_port.metrics_port("127.0.0.1:0", render) as address:
        endless = get(more="X: " + "y" * 200_000)
        assert status_of(await asks(address, endless)) in (0, 400, 413, 431)
        assert status_of(await asks(address, get())) == 200


@real
async def test_who_sends_nothing_keeps_nobody_out_and_never_more_than_16_are_served() -> None:
    async with metrics_port.metrics_port("127.0.0.1:0", render) as address:
        port = int(address.rpartition(":")[2])
        silent = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(CONNECTIONS)]
        assert status_of(await asks(address, get())) == 200
        assert await silent[0].receive_some() == b"", "the oldest made room"
        with trio.move_on_after(0.2) as scope:
            await silent[1].receive_some()
        assert scope.cancelled_caught, "the others stay"
        for stream in silent:
            await stream.aclose()


@real
async def test_who_sends_nothing_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_port, "ANSWER_S", 0.3)
    async with metrics_port.metrics_port("127.0.0.1:0", render) as address:
        assert await asks(address, b"", end=False) == b""


@real
async def test_who_does_not_read_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics_port, "ANSWER_S", 0.3)
    ended = trio.Event()

    async def huge() -> bytes:
        return b"x" * 50_000_000

    class Watched(metrics_port._Server):
        async def serve(self, stream: trio.SocketStream) -> None:
            await super().serve(stream)
            ended.set()

    monkeypatch.setattr(metrics_port, "_Server", Watched)
    async with metrics_port.metrics_port("127.0.0.1:0", huge) as address:
        stream = await trio.open_tcp_stream("127.0.0.1", int(address[10:]))
        await stream.send_all(get())
        with trio.fail_after(10):
            await ended.wait()
        await stream.aclose()


@real
async def test_a_bug_ends_its_connection_alone(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[int] = []

    async def broken_once() -> bytes:
        calls.append(1)
        if len(calls) == 1:
            raise ValueError("a bug")
        return TEXT

    async with metrics_port.metrics_port("127.0.0.1:0", broken_once) as address:
        assert await asks(address, get()) == b""
        assert "bug in metrics" in caplog.text
        assert status_of(await asks(address, get())) == 200


@real
async def test_a_port_that_is_taken_is_one_line_with_a_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(SetupError) as caught:
            async with metrics_port.metrics_port(address, render):
                pass
    assert address in caught.value.message
    assert "in use" in caught.value.message
    assert "--set metrics=" in caught.value.hint
    assert "\n" not in caught.value.message + caught.value.hint


@real
async def test_an_error_of_the_body_comes_out_bare() -> None:
    with pytest.raises(SetupError, match="of the body"):
        async with metrics_port.metrics_port("127.0.0.1:0", render):
            raise SetupError("of the body")


@profile(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.binary(max_size=200), st.sampled_from([get(), b"GET ", b"\r\n"]))))
def test_whatever_is_sent_the_next_scrape_is_answered(pieces: list[bytes]) -> None:
    async def main() -> None:
        with trio.fail_after(20):
            async with metrics_port.metrics_port("127.0.0.1:0", render) as address:
                await asks(address, b"".join(pieces))
                assert (await asks(address, get())).endswith(TEXT)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exchange, "REQUEST_S", 1.0)
        patch.setattr(logging.getLogger("dmfs.control.metrics_port"), "exception", failing)
        trio.run(main)


def failing(*words: Any) -> None:
    raise AssertionError(words)
