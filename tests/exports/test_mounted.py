"""``dmfs export`` as a command, asked of a mount and without one; what the kernel then shows."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.exports.exporting import PROJECT, SCOPES, posts, sign_in
from tests.support.fixtures import running_emulator
from tests.support.mounts import Drive, Home, dmfs_command, wait_until

DESIGNS = int(os.environ.get("DMFS_EXPORT_DESIGNS", "12"))
KILLS = int(os.environ.get("DMFS_EXPORT_KILLS", "2"))
LONG = DESIGNS > 100
MINUTE_S = 60.0 if LONG else 1.0
"""Of the published rates."""


def a_home(emulator: EmulatorProcess, directory: Path, **config: Any) -> Home:
    home = Home(directory, emulator, {"scopes": SCOPES, "ttl": "10m"} | config)
    del home.environ["DMFS_CLIENT_SECRET"]
    home.environ["DMFS_CLIENT_ID"] = "emulator-desktop"
    sign_in(emulator, home.state)
    return home


@pytest.fixture
def mounted(emulator: EmulatorProcess, tmp_path: Path) -> Iterator[Drive]:
    home = a_home(emulator, tmp_path / "own", rate_window="0.6s")
    drive = Drive(tmp_path / "own", emulator, home=home)
    drive.start()
    yield drive
    drive.close()


@pytest.mark.mount
def test_a_mount_is_asked_and_the_kernel_shows_what_is_kept(emulator, mounted, tmp_path):
    folder = mounted.path(PROJECT.strip("/"))
    assert "Part 001.f3z" not in mounted.call("listdir", folder)
    emulator.reset()
    done = mounted.home.run("export", "--keep", f"{folder}/Part 001.url")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(b"1 design exported, ")
    assert emulator.counts()["hubs"] == 0, "it was the mount that worked"
    kept = f"{folder}/Part 001.f3z"
    wait_until(lambda: "Part 001.f3z" in mounted.call("listdir", folder), 10, "it is listed")
    status = mounted.call("stat", kept)
    data = mounted.call("sha256", kept)
    assert data[1] == status.st_size > 0
    assert status.st_mode & 0o777 == 0o444
    assert int(status.st_mtime) == int(mounted.call("stat", f"{folder}/Part 001.url").st_mtime)
    version = mounted.call("getxattr", f"{folder}/Part 001.url", "user.dmfs.version_id")
    assert mounted.call("getxattr", kept, "user.dmfs.export_of") == version
    assert "user.dmfs.export_of" not in mounted.call("listxattr", kept)
    storage = mounted.call("getxattr", kept, "user.dmfs.storage_id").decode()
    assert tuple(data) == emulator.sha256(storage)
    # into a directory, a relative one
    out = tmp_path / "out"
    out.mkdir()
    done = mounted.home.run(
        "export", "-r", "-o", "out", "--format", "step", "--json", folder, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert b'"event": "done"' in done.stdout.splitlines()[-1]
    assert len(list(out.iterdir())) == 40
    shutil.rmtree(out)
    done = mounted.home.run("export", "-o", str(out), f"{folder}/Part 001.url")
    assert (done.returncode, done.stdout) == (1, b"")
    assert b"is not there" in done.stderr


def test_what_fails_is_named_on_stderr_and_told_by_the_exit_status(emulator, tmp_path):
    home = a_home(emulator, tmp_path / "own", rate_window="0.6s")
    emulator.export_rule(match={"name": "Part 002*"}, outcome="failed")
    one, two = (f"{PROJECT}/Part 00{n}.url" for n in (1, 2))
    done = home.run("export", one, two, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stdout.startswith(b"1 design exported, ")
    named, last = done.stderr.decode().splitlines()
    assert "Part 002.url: the service could not make it" in named
    assert "1 of 2 designs" in last
    assert (tmp_path / "Part 001.f3z").stat().st_size > 0
    done = home.run("export", PROJECT, cwd=tmp_path)
    assert done.returncode == 2
    assert b"-r exports" in done.stderr


@pytest.mark.timeout(1800 if LONG else 90)
def test_killed_it_goes_on_and_orders_no_design_twice(tmp_path):
    with running_emulator(world=f"designs:count={DESIGNS},versions=1") as emulator:
        emulator.settings(rate_limits="published" if LONG else "off", api_latency_ms=100)
        emulator.exports(queue_s=5.0 if LONG else 0.3)
        _killed(emulator, tmp_path)


def _killed(emulator: EmulatorProcess, tmp_path: Path) -> None:
    rates = "" if LONG else "new_download=12"
    home = a_home(emulator, tmp_path / "own", rates=rates, rate_window=f"{MINUTE_S}s")
    command = [*dmfs_command(), "export", "-r", "--keep", PROJECT]
    choice, began = random.Random(7), time.monotonic()
    for number in range(KILLS):
        before = sum(posts(emulator).values())
        process = subprocess.Popen(
            command, env=home.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(
            lambda n=before: sum(posts(emulator).values()) > n, 120 if LONG else 30,
            "some are ordered",
        )  # fmt: skip
        time.sleep(choice.random() * (15.0 if LONG else 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert max(posts(emulator).values()) == 1, number
    done = subprocess.run(command, env=home.environment(), capture_output=True, check=False)
    counted = posts(emulator)
    assert max(counted.values()) == 1, "by the emulator's own count"
    in_doubt = done.stderr.decode().count("nobody can tell")
    assert done.returncode == (1 if in_doubt else 0), done.stderr.decode()
    assert in_doubt <= KILLS
    listed = home.run("ls", PROJECT).stdout.decode().splitlines()
    assert sum("f3z" in line for line in listed) == DESIGNS - in_doubt
    print(
        f"designs={DESIGNS} kills={KILLS} in_doubt={in_doubt} posts={sum(counted.values())}"
        f" s={time.monotonic() - began:.0f}"
    )
