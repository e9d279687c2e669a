"""The control socket under bad guests: strangers, garbage, too many, too slow, too long."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import cast

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dmfs.control import exchange as exchange_module
from dmfs.control import server as server_module
from dmfs.control.cards import CARD_LIFE_S, Place, is_alive, prune, read_cards, stem_of
from dmfs.control.exchange import REQUEST_MAX_BYTES, Exchange
from dmfs.control.routes import Routes
from dmfs.control.server import CONNECTIONS, ControlServer
from dmfs.system.clock import wall_time_s
from tests.control.server import (
    GET,
    FakeRoutes,
    card,
    connect,
    hello,
    json_of,
    serving,
    status_of,
    talk,
)
from tests.support.helpers import real


@real
async def test_a_request_is_answered_and_the_socket_is_ours_alone(tmp_path: Path) -> None:
    async with serving(tmp_path / "run", hello) as path:
        assert json_of(await talk(path, GET)) == {"path": "/v1/status", "body": ""}
        body = b'{"a": 1}'
        post = b"POST /v1/x?y=1 HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n" % len(body)
        assert json_of(await talk(path, post + body)) == {"path": "/v1/x", "body": '{"a": 1}'}
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        (card_path,) = read_cards([path.parent])
        assert stat.S_IMODE(card_path.stat().st_mode) == 0o600


@real
async def test_a_stranger_is_refused_even_where_the_socket_can_be_reached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    async def answer(exchange: Exchange) -> None:
        asked.append(exchange.path)
        await hello(exchange)

    async with serving(tmp_path / "run", answer) as path:
        monkeypatch.setattr(server_module, "peer_uid", lambda _socket: os.geteuid() + 1)
        assert status_of(await talk(path, GET)) == 403
        monkeypatch.setattr(server_module, "peer_uid", lambda _socket: 0)
        assert status_of(await talk(path, GET)) == 200
    assert asked == ["/v1/status"]


@real
async def test_garbage_gets_an_error_and_the_next_one_an_answer(tmp_path: Path) -> None:
    garbage = [
        b"\x00" * 100 + b"\r\n\r\n",
        b"GET\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: d\r\nContent-Length: -1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",  # TLS
    ]
    async with serving(tmp_path / "run", hello) as path:
        for each in garbage:
            assert status_of(await talk(path, each)) in (400, 405, 501, 505), each
        assert status_of(await talk(path, GET)) == 200


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    pieces=st.lists(
        st.one_of(
            st.binary(max_size=200),
            st.sampled_from(
                [b"GET / HTTP/1.1\r\n", b"Host: d\r\n", b"\r\n", b"POST /v1/warm HTTP/1.1\r\n",
                 b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n",
                 b"Expect: 100-continue\r\n"]
            ),
        ),
        max_size=8,
    )
)  # fmt: skip
def test_no_bytes_hurt_the_server(tmp_path: Path, pieces: list[bytes]) -> None:
    async def run() -> None:
        async with serving(tmp_path / "run", hello) as path:
            async with await connect(path) as stream:
                try:
                    for piece in pieces:
                        await stream.send_all(piece)
                except trio.BrokenResourceError:
                    pass
            assert status_of(await talk(path, GET)) == 200

    trio.run(run)


@real
async def test_a_request_that_is_too_long_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path / "run", hello) as path:
        head = b"GET / HTTP/1.1\r\nX: " + b"x" * (2 * REQUEST_MAX_BYTES) + b"\r\n\r\n"
        assert status_of(await talk(path, head)) in (413, 431)
        size = REQUEST_MAX_BYTES + 1
        post = b"POST / HTTP/1.1\r\nHost: d\r\nContent-Length: %d\r\n\r\n" % size
        assert status_of(await talk(path, post + b"x" * size)) == 413


@real
async def test_a_request_that_never_arrives_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_module, "REQUEST_S", 0.2)
    async with serving(tmp_path / "run", hello) as path:
        assert status_of(await talk(path, b"GET / HTTP/1.1\r\nHost:")) == 408


@real
async def test_one_connection_too_many_is_told_so_and_others_go_on(tmp_path: Path) -> None:
    async with serving(tmp_path / "run", hello) as path:
        idle = [await connect(path) for _ in range(CONNECTIONS)]
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert status_of(await talk(path, GET)) == 503
        await idle.pop().aclose()
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert status_of(await talk(path, GET)) == 200
        for each in idle:
            await each.aclose()


@real
async def test_a_client_that_never_reads_ends_nothing_but_its_own_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange_module, "WRITE_S", 0.3)
    ended: list[str] = []

    async def flood(exchange: Exchange) -> None:
        if exchange.path == "/v1/status":
            await hello(exchange)
            return
        try:
            await exchange.begin()
            while True:
                await exchange.write({"event": "x" * 10_000})
        finally:
            ended.append(exchange.path)

    async with serving(tmp_path / "run", flood) as path, await connect(path) as deaf:
        await deaf.send_all(b"GET /flood HTTP/1.1\r\nHost: d\r\n\r\n")
        assert status_of(await talk(path, GET)) == 200
        with trio.fail_after(20):
            while not ended:
                await trio.sleep(0.01)


@real
async def test_a_job_ends_with_its_reader(tmp_path: Path) -> None:
    begun, ended = trio.Event(), trio.Event()

    async def job(exchange: Exchange) -> None:
        await exchange.begin()
        begun.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    async with serving(tmp_path / "run", job) as path:
        stream = await connect(path)
        await stream.send_all(b"POST /v1/warm HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n")
        with trio.fail_after(20):
            await begun.wait()
            assert not ended.is_set()
            await stream.aclose()
            await ended.wait()


@real
async def test_a_bug_in_an_answer_ends_no_other(tmp_path: Path) -> None:
    async def buggy(exchange: Exchange) -> None:
        if exchange.path == "/bug":
            raise ZeroDivisionError
        await hello(exchange)

    async with serving(tmp_path / "run", buggy) as path:
        assert await talk(path, b"GET /bug HTTP/1.1\r\nHost: d\r\n\r\n") == b""
        assert status_of(await talk(path, GET)) == 200


@real
async def test_a_stale_socket_is_replaced_and_a_living_one_is_not(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "run"
    async with serving(directory, hello) as path:
        name = path.name
        card_path = path.with_suffix(".json")
        assert is_alive(card_path)
        second = ControlServer(cast(Routes, FakeRoutes(hello)), card(), [directory])
        tried = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(second.run, tried.set)
            await tried.wait()
            nursery.cancel_scope.cancel()
        assert "another drive has one" in caplog.text
        assert status_of(await talk(path, GET)) == 200
    assert not is_alive(card_path)
    assert path.exists()  # as after SIGKILL: nobody took it away
    async with serving(directory, hello) as path:
        assert path.name == name
        assert status_of(await talk(path, GET)) == 200


@real
async def test_a_long_path_has_a_socket_all_the_same(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120) / "run"
    async with serving(deep, hello) as path:
        assert path.is_socket()
        descriptor = os.open(deep, os.O_DIRECTORY)
        try:
            through = Path(f"/proc/self/fd/{descriptor}/{path.name}")
            assert status_of(await talk(through, GET)) == 200
        finally:
            os.close(descriptor)


@real
async def test_a_socket_that_was_removed_comes_back_and_what_is_under_way_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the last session of a user ends, and ``/run/user/UID`` with it."""
    monkeypatch.setattr(server_module, "LOOK_S", 0.05)
    go_on = trio.Event()

    async def patient(exchange: Exchange) -> None:
        if exchange.path == "/wait":
            await go_on.wait()
        await hello(exchange)

    async with serving(tmp_path / "run", patient) as path:
        answers: list[bytes] = []

        async def wait() -> None:
            answers.append(await talk(path, b"GET /wait HTTP/1.1\r\nHost: d\r\n\r\n"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.sleep(0.05)
            shutil.rmtree(path.parent)
            with trio.fail_after(20):
                while not path.exists():
                    await trio.sleep(0.01)
            assert status_of(await talk(path, GET)) == 200
            assert is_alive(path.with_suffix(".json"))
            go_on.set()
        assert status_of(answers[0]) == 200


def test_cards_of_long_ago_are_pruned(tmp_path: Path) -> None:
    for name, age_s in (("/mnt/old", CARD_LIFE_S + 1), ("/mnt/new", 60), ("/mnt/lives", 0)):
        with Place(tmp_path, card(name)).taken():
            pass
        path = tmp_path / f"{stem_of(name)}.json"
        os.utime(path, (wall_time_s() - age_s,) * 2)
    with Place(tmp_path, card("/mnt/lives")).taken():
        os.utime(tmp_path / f"{stem_of('/mnt/lives')}.json", (0, 0))
        prune(tmp_path, wall_time_s())
        assert {each.mountpoint for each in read_cards([tmp_path]).values()} == {
            "/mnt/new",
            "/mnt/lives",
        }
    assert not (tmp_path / f"{stem_of('/mnt/old')}.lock").exists()
