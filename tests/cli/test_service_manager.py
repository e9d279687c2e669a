"""What a service manager hears of a mount: words, and beats for as long as its loop turns."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio

from dmfs.cli import serve
from dmfs.cli.daemonize import ServiceManager, sd_notify, watchdog_s
from dmfs.telemetry import watch
from dmfs.telemetry.notices import Notice
from tests.support.helpers import real
from tests.support.mounts import Home, Manager, dmfs_command, force_unmount, wait_until


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "7"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": ""}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "٣"}, None),
        ({"WATCHDOG_USEC": "9" * 5000}, None),
    ],
)
def test_a_watchdog_is_served_if_it_is_ours(environ: dict[str, str], seconds: float | None) -> None:
    assert watchdog_s(environ, 7) == seconds


def test_without_a_manager_there_are_no_beats() -> None:
    manager = ServiceManager({"WATCHDOG_USEC": "60000000"})
    assert not manager
    assert manager.watchdog_s is None
    manager.say("online")


def beats(manager: Manager) -> int:
    return sum("WATCHDOG=1" in message for message in manager.heard())


@real
async def test_beats_stop_while_the_loop_hangs_and_go_on_after_it() -> None:
    with Manager() as manager:
        ours = ServiceManager({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "40000"})
        assert ours.watchdog_s == 0.04
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch.beat, ours.watchdog_s, ours.beat)
            while beats(manager) < 3:
                await trio.sleep(0.01)
            before = beats(manager)
            time.sleep(0.3)  # noqa: ASYNC251 - the loop hangs
            assert beats(manager) == before
            while beats(manager) == before:
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()


def test_a_manager_that_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        ours = ServiceManager({"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "1"})
        for _ in range(3000):  # its queue takes some hundred
            ours.beat()
            ours.say("online")
        sd_notify(path, "STATUS=x", wait=False)


@real
async def test_words_go_to_the_manager_and_notices_to_the_desktop_if_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch, "LOOK_S", 0.01)
    state = {"state": "online", "open_files": 12}
    shown: list[tuple[str, str]] = []

    async def status_of(drive: Any) -> dict[str, Any]:
        return state

    async def show(address: str, notice: Notice) -> None:
        shown.append((address, notice.kind))

    monkeypatch.setattr(serve, "status_of", status_of)
    monkeypatch.setattr(serve, "show", show)
    for notify in (False, True):
        with Manager() as manager:
            state = {"state": "online", "open_files": 12}
            life: Any = SimpleNamespace(
                manager=ServiceManager({"NOTIFY_SOCKET": manager.address}),
                session_bus="unix:path=/bus", mountpoint="/drive",
            )  # fmt: skip
            drive: Any = SimpleNamespace(settings=SimpleNamespace(metrics="", notify=notify))
            async with serve.observed(drive, life):
                while "STATUS=online; 12 files open" not in manager.heard():
                    await trio.sleep(0.01)
                state = {"state": "signed_out"}
                while "STATUS=signed out: run dmfs login" not in manager.heard()[-1:]:
                    await trio.sleep(0.01)
                await trio.sleep(0.1)
            assert shown == ([("unix:path=/bus", "signed_out")] if notify else [])
            assert len(manager.heard()) == 2, "each sentence once"


@pytest.mark.mount
def test_a_mount_beats_from_its_start_to_its_end(emulator, tmp_path: Path) -> None:
    """And a hung one does not: systemd's SIGABRT then has the stacks written."""
    home, point = Home(tmp_path, emulator, {}), tmp_path / "point"
    point.mkdir()
    with Manager() as manager:
        process = subprocess.Popen(
            [*dmfs_command(), "mount", "-f", "/", str(point)],
            env=home.environment({"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": "400000"}),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        try:
            wait_until(lambda: any("READY=1" in each for each in manager.heard()), 40)
            sent = beats(manager)
            wait_until(lambda: beats(manager) >= sent + 3)
            os.kill(process.pid, signal.SIGABRT)
            _, said = process.communicate(timeout=20)
        finally:
            process.kill()
            process.wait()
            force_unmount(point)
    assert process.returncode == -signal.SIGABRT
    assert b"Fatal Python error: Aborted" in said
    assert b'File "' in said
