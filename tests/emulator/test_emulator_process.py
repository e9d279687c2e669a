"""The command line and :class:`EmulatorProcess`."""

from __future__ import annotations

import ast
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import trio

import dmfs.emulator
from dmfs.emulator import __main__ as command_line
from dmfs.emulator.process import EmulatorError, EmulatorProcess
from dmfs.emulator.server import handler
from dmfs.emulator.world.catalog import make_world
from dmfs.emulator.world.zip_content import ZipArchive

PACKAGE = Path(dmfs.emulator.__file__).parent
ENVIRONMENT = os.environ | {"PYTHONPATH": str(PACKAGE.parents[1])}


def launch(*arguments: str, **options) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dmfs.emulator", *arguments], env=ENVIRONMENT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ["--world", "nonsense"], ["--port", "70000"], ["--port", "x"], ["--rate-limits", "-1"],
        ["--host", "0.0.0.0"], ["--tls-cert", "/none"], ["--unknown"], ["--api-latency-ms", "nan"],
        ["--tls-cert", "/none", "--tls-key", "/none"], ["--log-level", "loud"],
    ],
)  # fmt: skip
def test_bad_arguments_are_one_line_and_status_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        command_line.main(arguments)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("dmfs emulator: ")


def test_bad_arguments_from_outside():
    child = launch("--world", "nonsense")
    out, err = child.communicate(timeout=20)
    assert (child.returncode, out) == (2, "")
    assert err == (
        "dmfs emulator: --world: unknown world 'nonsense', known are sample, empty, tree, levels,"
        " wide, models, small, big, relations, designs, history, directory"
        " (see dmfs emulator --help)\n"
    )


def test_a_taken_port_is_one_line_and_status_1():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for option in ("--port", "--cdn-port"):
            child = launch(option, str(port))
            _, err = child.communicate(timeout=20)
            assert child.returncode == 1
            assert len(err.splitlines()) == 1
            assert "in use" in err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_with_status_0(number):
    child = launch()
    assert child.stdout is not None
    ready = json.loads(child.stdout.readline())
    assert set(ready) == {"api_url", "cdn_url", "pid", "client_id", "client_secret"}
    assert ready["pid"] == child.pid
    child.send_signal(number)
    assert child.wait(20) == 0
    _, err = child.communicate()
    assert err == ""


def test_it_ends_promptly_even_while_it_hashes():
    with EmulatorProcess(world="big:size=20000000000,count=1") as emulator:
        files = emulator.world()["hubs"][0]["projects"][0]["folders"][0]["folders"][0]
        storage = files["folders"][0]["items"][0]["versions"][0]["storage"]
        host, _, port = emulator.api_url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as sock:
            path = f"/_emulator/sha256?storage={storage}"
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            time.sleep(0.2)
            assert emulator.stop() == 0
            assert sock.recv(1) == b"", "it went on until the digest was complete"


def test_it_ends_with_its_stdin_even_while_something_stalls():
    child = launch("--until-eof")
    assert child.stdout is not None
    assert child.stdin is not None
    url = json.loads(child.stdout.readline())["api_url"].removeprefix("http://")
    host, _, port = url.partition(":")
    with socket.create_connection((host, int(port))):
        child.stdin.close()
        assert child.wait(5) == 0
    child.stdout.close()
    assert child.stderr is not None
    child.stderr.close()


def test_the_wrapper():
    emulator = EmulatorProcess(world="small:files=3,min=10,max=20", api_latency_ms=1)
    with emulator:
        assert emulator.settings()["api_latency_ms"] == 1
        assert emulator.pid > 0
        assert emulator.client_secret == "emulator-secret"
        assert emulator.counts()["token"] == 0
    assert emulator.stop() == 0
    assert emulator.stderr() == ""
    with pytest.raises(EmulatorError, match="unknown world"):
        EmulatorProcess(world="nonsense").start()


def test_start_is_quick():
    """It computes no bytes: 0.3 s here, whatever the size of the world's files."""
    world = make_world("sample+big:size=4000000000,count=8,zip=1")
    archives = [s.content for s in world.storages.values() if isinstance(s.content, ZipArchive)]
    assert len(archives) > 8
    assert not any(archive.is_ready for archive in archives)


def test_garbage_on_the_wire_does_no_harm(emulator):
    host, _, port = emulator.api_url.removeprefix("http://").partition(":")
    for garbage in (b"\x16\x03\x01\x00", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"x" * 200_000):
        with socket.create_connection((host, int(port)), timeout=5) as sock:
            try:
                sock.sendall(garbage)
                sock.shutdown(socket.SHUT_WR)
                while sock.recv(4096):
                    pass
            except OSError:  # Reset, at whatever moment.
                pass
    assert emulator.counts() is not None


def test_a_bug_in_a_handler_is_a_500_and_a_traceback(caplog):
    async def buggy():
        raise KeyError("oops")

    answer = trio.run(handler._guarded, buggy())
    assert answer.status == 500
    assert b"EMULATOR_BUG" in answer.body()
    assert "oops" in caplog.text


def test_expect_100_continue(emulator):
    host, _, port = emulator.api_url.removeprefix("http://").partition(":")
    body = b"grant_type=client_credentials&scope=data:read"
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(
            b"POST /authentication/v2/token HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
            b"Content-Length: %d\r\n\r\n" % len(body)
        )
        assert sock.recv(100).startswith(b"HTTP/1.1 100 ")
        sock.sendall(body)
        assert b" 401 " in sock.recv(4096)


def test_it_imports_nothing_from_dmfs_and_little_else():
    allowed = set(sys.stdlib_module_names) | {"trio", "h11"}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                if name == "dmfs.emulator" or name.startswith("dmfs.emulator."):
                    continue
                assert name.partition(".")[0] in allowed, (path.name, name)
                if path.name == "process.py":
                    assert name.partition(".")[0] not in ("trio", "h11")
