"""Who makes a request: bounded, cheap, the process rather than its thread."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import pytest
import trio

from dmfs.telemetry import processes
from dmfs.telemetry.processes import (
    MEMORY_S,
    PROCESSES_MAX,
    THREADS_MAX,
    Process,
    Processes,
    process_of,
)
from tests.support.helpers import virtual

OWN = (os.getpid(), Path("/proc/self/comm").read_text().strip())


def test_a_thread_is_told_as_its_process() -> None:
    seen: list[tuple[int, tuple[int, str]]] = []

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
    assert process_of(child.pid) == (child.pid, "-")
    assert process_of(0) == process_of(-1) == (0, "-")
    assert str(Process(0, "-")) == "-"
    assert str(Process(7, "rsync")) == "7 (rsync)"


@virtual
async def test_proc_is_read_once_a_second_and_not_for_each_request(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []

    def process_of(thread: int) -> tuple[int, str]:
        asked.append(thread)
        return thread, "x"

    monkeypatch.setattr(processes, "process_of", process_of)
    who = Processes()
    first = who.of_thread(7)
    assert all(who.of_thread(7) is first for _ in range(100))
    assert asked == [7]
    await trio.sleep(MEMORY_S + 0.01)
    assert who.of_thread(7) is first  # the same program: its counts go on
    assert asked == [7, 7]


@virtual
async def test_threads_of_one_process_are_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "process_of", lambda _thread: (5, "rsync"))
    who = Processes()
    assert who.of_thread(7) is who.of_thread(8)
    monkeypatch.setattr(processes, "process_of", lambda _thread: (5, "sh"))
    await trio.sleep(MEMORY_S + 0.01)
    assert who.of_thread(7).name == "sh"  # another program since exec
    assert {each.name for each in who.known()} == {"rsync", "sh"}


@virtual
async def test_its_memories_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "process_of", lambda thread: (thread, f"{thread}"))
    who = Processes()
    for number in range(1, 2 * THREADS_MAX):
        who.of_thread(number)
    assert len(who._threads) == THREADS_MAX
    assert len(who.known()) == PROCESSES_MAX
    assert who.known()[-1].pid == number


@virtual
async def test_whoever_has_a_file_open_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads for an hour, and is not seen: reads do not tell who makes them."""
    monkeypatch.setattr(processes, "process_of", lambda thread: (thread, f"{thread}"))
    who = Processes()
    reader = who.of_thread(1)
    reader.open_files += 1
    for number in range(2, 2 * PROCESSES_MAX):
        who.of_thread(number)
    assert reader in who.known()
    assert len(who.known()) == PROCESSES_MAX
    reader.open_files -= 1
    for number in range(2 * PROCESSES_MAX, 4 * PROCESSES_MAX):
        who.of_thread(number)
    assert reader not in who.known()
