"""The thread that drives transfers: commands in their order, each carried out or refused."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator

import pytest
import trio

from dmfs.http.curl.thread import CurlThread, LoopSide


class Loop:
    """Transfers without libcurl: it sleeps on the wake socket, and notes what happens to it."""

    def __init__(self, wake: socket.socket) -> None:
        self._wake = wake
        self.said: list[str] = []
        self.gate = threading.Event()
        self.gate.set()

    def wait(self) -> bool:
        select.select([self._wake], [], [])
        self.gate.wait()
        return True

    def say(self, word: str) -> None:
        if word == "break":
            raise ValueError("a bug")
        self.said.append(word)

    def close(self) -> None:
        self.said.append("closed")


@pytest.fixture
def thread() -> Iterator[CurlThread[Loop]]:
    thread: CurlThread[Loop] = CurlThread("a test's")
    yield thread
    thread.close()


def test_commands_are_carried_out_in_their_order_and_the_rest_after_the_end(
    thread: CurlThread[Loop],
) -> None:
    loop = Loop(thread.wake)
    assert not thread.command(lambda loop: loop.say("too early"))
    loop.gate.clear()
    thread.start(loop)
    for word in ("one", "two"):
        assert thread.command(lambda loop, word=word: loop.say(word))  # type: ignore[misc]
    assert thread.command(None)
    assert thread.command(lambda loop: loop.say("behind the end"))
    loop.gate.set()
    thread.close()
    assert loop.said == ["one", "two", "closed", "behind the end"]
    assert not thread.command(lambda loop: loop.say("too late"))
    thread.close()
    assert loop.said[-1] == "behind the end"


def test_a_thread_that_breaks_down_says_so_and_refuses_what_comes(
    thread: CurlThread[Loop], caplog: pytest.LogCaptureFixture
) -> None:
    loop = Loop(thread.wake)
    loop.gate.clear()
    thread.start(loop)
    assert thread.command(lambda loop: loop.say("break"))
    assert thread.command(lambda loop: loop.say("of a transfer that never began"))
    loop.gate.set()
    thread.close()
    assert "a test's broke down" in caplog.text
    assert loop.said == ["closed", "of a transfer that never began"]


def test_reports_are_joined_and_the_end_comes_once_and_last(thread: CurlThread[Loop]) -> None:
    said: list[str] = []
    worked = threading.Event()

    async def main() -> None:
        side = LoopSide()
        thread.start(Loop(thread.wake))

        def work(_: Loop) -> None:
            for _each in range(1000):
                side.report(lambda: said.append("report"))
            side.end(lambda: said.append("end"))
            worked.set()

        assert thread.command(work)
        assert worked.wait(20), "the loop stands still meanwhile, and hears of it all at once"
        with trio.fail_after(20):
            await side.done.wait()
        side.report(lambda: said.append("too late"))
        await trio.sleep(0.01)
        thread.close()

    trio.run(main)
    assert said == ["report", "end"]
