"""Who makes a request, for the access log: bounded, cheap, the process rather than its thread."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import trio

from dmfs.fuse import callers
from dmfs.fuse.callers import HANDLES_MAX, MEMORY_S, THREADS_MAX, Callers, process_of
from tests.support.helpers import virtual

OWN = f"{os.getpid()} ({Path('/proc/self/comm').read_text().strip()})"


def context(thread: int) -> SimpleNamespace:
    return SimpleNamespace(pid=thread)


def test_a_thread_is_told_as_its_process() -> None:
    seen: list[tuple[int, str]] = []

    def ask() -> None:
        seen.append((threading.get_native_id(), process_of(threading.get_native_id())))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    ((number, told),) = seen
    assert number != os.getpid()
    assert told == OWN


def test_who_is_gone_or_unknown() -> None:
    child = subprocess.Popen(["true"])
    child.wait()
    assert process_of(child.pid) == f"{child.pid} (-)"
    assert process_of(0) == process_of(-1) == "-"


@virtual
async def test_proc_is_read_once_a_second_and_not_for_each_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def process_of(thread: int) -> str:
        asked.append(thread)
        return f"{thread}"

    monkeypatch.setattr(callers, "process_of", process_of)
    who = Callers()
    for _ in range(100):
        assert who.of((1, b"name", context(7))) == "7"
    assert asked == [7]
    await trio.sleep(MEMORY_S + 0.01)
    who.of((1, b"name", context(7)))
    assert asked == [7, 7]


@virtual
async def test_a_read_is_of_who_opened_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "process_of", lambda thread: f"{thread} (x)")
    who = Callers()
    who.opened(SimpleNamespace(fh=3), who.of((1, 0, context(7))))
    who.opened(4, who.of((1, context(8))))
    assert who.of((3, 0, 4096)) == "7 (x)"
    assert who.of((4, 0, object())) == "8 (x)"
    assert who.of((5, 0, 4096)) == "-"
    assert who.of(()) == "-"


@virtual
async def test_its_memories_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "process_of", lambda thread: f"{thread}")
    who = Callers()
    for number in range(2 * max(HANDLES_MAX, THREADS_MAX)):
        who.opened(number, who.of((1, context(number + 1))))
    assert len(who._threads) == THREADS_MAX
    assert len(who._handles) == HANDLES_MAX
    assert who.of((number, 0, 1)) == str(number + 1)
