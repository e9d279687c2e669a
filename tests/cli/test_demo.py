"""The demo shows what it promises, and leaves no mount, process or file behind."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.mounts import (
    MARK,
    SESSION,
    dmfs_command,
    mounted_at,
    processes_of_session,
    wait_until,
)

pytestmark = pytest.mark.mount


def left_of_demo() -> list[str]:
    return [str(path) for path in Path("/tmp").glob("dmfs-demo-*")]


def test_demo_check(home):
    before = left_of_demo()
    done = home.run("demo", "--check", timeout_s=110)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(b" ok ") == 5
    assert left_of_demo() == before
    assert not processes_of_demo()


def processes_of_demo() -> list[tuple[int, str]]:
    return [(pid, line) for pid, line in processes_of_session() if "dmfs-demo-" in line]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_ends_without_a_trace(home, point, number):
    before = left_of_demo()
    process = subprocess.Popen(
        [*dmfs_command(), "demo", str(point)], env=home.environment({MARK: SESSION}),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    try:
        output = process.stdout
        assert output is not None
        os.set_blocking(output.fileno(), False)
        words = bytearray()

        def introduced() -> bool:
            assert process.poll() is None
            words.extend(output.read() or b"")
            return b"Ctrl-C" in words

        wait_until(introduced, 40, "the demo introduces itself")
        assert mounted_at(point)
        emulators = [line for pid, line in processes_of_session() if "dmfs.emulator" in line]
        assert emulators
        process.send_signal(number)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == b""
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
    assert mounted_at(point) is None
    assert left_of_demo() == before
    assert not [line for _, line in processes_of_session() if str(point) in line]
