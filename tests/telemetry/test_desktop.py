"""Notifications of the desktop, over a bus of the test's own."""

from __future__ import annotations

import logging
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from jeepney import HeaderFields, Message, MessageType, new_error, new_method_return
from jeepney.bus_messages import message_bus
from jeepney.io.trio import DBusConnection, open_dbus_connection

from dmfs.telemetry import desktop
from dmfs.telemetry.desktop import session_bus, show
from dmfs.telemetry.notices import Notice
from tests.support.helpers import real

pytestmark = pytest.mark.tool("dbus-daemon")

NAME = "org.freedesktop.Notifications"
NOTICE = Notice("pinned", "Pinned files are here", "3 files at /home/ada/<R&D>\x1b[2J can be read.")
POLICY = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path={path}</listen>
<policy context="default"><allow own="*"/><allow send_destination="*" eavesdrop="true"/>
<allow eavesdrop="true"/>{more}
</policy></busconfig>
"""
DENIED = f'<deny send_destination="{NAME}"/>'


@pytest.fixture(params=[""])
def bus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of a bus."""
    path, config = tmp_path / "bus", tmp_path / "bus.conf"
    config.write_text(POLICY.format(path=path, more=request.param))
    daemon = subprocess.Popen(
        ["dbus-daemon", f"--config-file={config}", "--nofork", "--print-address=1"],
        stdout=subprocess.PIPE,
    )
    assert daemon.stdout is not None
    try:
        assert daemon.stdout.readline()
        yield f"unix:path={path}"
    finally:
        daemon.terminate()
        daemon.wait(10)
        daemon.stdout.close()


async def shows(connection: DBusConnection, calls: list[Any], *, error: bool = False) -> None:
    """A desktop that shows notifications, or will not."""
    while True:
        message = await connection.receive()
        if message.header.message_type is not MessageType.method_call:
            continue
        assert message.header.fields[HeaderFields.member] == "Notify"
        assert message.header.fields[HeaderFields.signature] == "susssasa{sv}i"
        calls.append(message.body)
        reply = new_error(message, f"{NAME}.Error") if error else answer(message)
        await connection.send(reply)


def answer(message: Message) -> Message:
    return new_method_return(message, "u", (7,))


async def desktop_at(address: str) -> DBusConnection:
    connection = await open_dbus_connection(address)
    async with connection.router() as router:
        await router.send_and_get_reply(message_bus.RequestName(NAME))
    return connection


@real
async def test_a_notice_comes_to_the_desktop_in_plain_words(bus: str) -> None:
    calls: list[Any] = []
    async with await desktop_at(bus) as connection, trio.open_nursery() as nursery:
        nursery.start_soon(shows, connection, calls)
        await show(bus, NOTICE)
        nursery.cancel_scope.cancel()
    ((app, replaces, _icon, summary, body, actions, _hints, timeout),) = calls
    assert (app, replaces, summary) == ("dmfs", 0, NOTICE.summary)
    assert (actions, timeout) == ([], -1)
    assert "/home/ada/&lt;R&amp;D&gt;" in body, "no markup but what is ours"
    assert "\x1b" not in body


@real
async def test_a_desktop_that_refuses_is_a_line_in_the_log(
    bus: str, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[Any] = []
    async with await desktop_at(bus) as connection, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: shows(connection, calls, error=True))
        await one_line(bus, caplog)
        nursery.cancel_scope.cancel()
    assert len(calls) == 1


async def one_line(address: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    with caplog.at_level(logging.DEBUG, "dmfs"):
        await show(address, NOTICE)
    (record,) = caplog.records
    assert record.levelno == logging.DEBUG
    assert NOTICE.summary in record.getMessage()
    assert "\n" not in record.getMessage()


@real
async def test_a_bus_with_nobody_to_show_it_is_a_line_in_the_log(
    bus: str, caplog: pytest.LogCaptureFixture
) -> None:
    await one_line(bus, caplog)


@pytest.mark.parametrize("bus", [DENIED], indirect=True)
@real
async def test_a_bus_that_denies_is_a_line_in_the_log(
    bus: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with await desktop_at(bus):
        await one_line(bus, caplog)
        assert "AccessDenied" in caplog.text


@pytest.mark.parametrize(
    "address",
    ["", "unix:path=/nowhere/bus", "nonsense", "tcp:host=127.0.0.1,port=1", "unix:", "unix:a=b",
     "unix:path=" + "x" * 200],
)  # fmt: skip
@real
async def test_a_bus_that_is_none_is_a_line_in_the_log(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    await one_line(address, caplog)


@pytest.mark.parametrize("says", [b"", b"OK 1234\r\n", b"REJECTED EXTERNAL\r\n", b"\xff" * 99])
@real
async def test_a_bus_that_hangs_or_talks_nonsense_is_a_line_in_the_log(
    says: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desktop, "ANSWER_S", 0.3)
    path = tmp_path / "silent"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
        server.bind(str(path))
        server.listen()
        listener = trio.SocketListener(trio.socket.from_stdlib_socket(server))

        async def serve(stream: trio.SocketStream) -> None:
            async with stream:
                if says:
                    await stream.send_all(says)
                await trio.sleep_forever()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, serve, [listener])
            with trio.fail_after(10):
                await one_line(f"unix:path={path}", caplog)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("environ", "address"),
    [
        ({}, ""),
        ({"XDG_RUNTIME_DIR": "/run/user/7"}, "unix:path=/run/user/7/bus"),
        ({"XDG_RUNTIME_DIR": "relative"}, ""),
        (
            {"XDG_RUNTIME_DIR": "/run/user/7", "DBUS_SESSION_BUS_ADDRESS": "unix:abstract=x"},
            "unix:abstract=x",
        ),
    ],
)
def test_the_session_bus_is_where_systemd_puts_it(environ: dict[str, str], address: str) -> None:
    assert session_bus(environ) == address
