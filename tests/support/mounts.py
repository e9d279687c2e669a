"""Real mounts for tests: the real command in a process of its own, and robust clean-up.

Everything that is started here is remembered in ``STARTED`` until it is gone; the session's
finalizer (``tests/conftest.py``) looks for what was left behind.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dmfs.emulator.process import EmulatorProcess
from tests.support.hands import Hands

START_TIMEOUT_S = 40.0
STOP_TIMEOUT_S = 20.0
MARK = "DMFS_TEST_SESSION"
"""An environment variable of everything that is started here: how leftovers are found."""
MOUNTFD = [sys.executable, "-P", "-m", "dmfs.fuse.descriptor.command"]
"""dmfs-mountfd."""
SESSION = f"{os.getpid()}.{time.time_ns()}"

STARTED: list[Drive] = []
_NUMBERS = itertools.count()
EMULATORS: list[EmulatorProcess] = []


def why_no_mounts() -> str:
    """Why this machine cannot mount, '' if it can."""
    if not Path("/dev/fuse").exists():
        return "there is no /dev/fuse"
    try:
        os.close(os.open("/dev/fuse", os.O_RDWR))
    except OSError as error:
        return f"/dev/fuse cannot be opened: {error.strerror}"
    if shutil.which("fusermount3") is None:
        return "there is no fusermount3"
    return ""


def mount_table() -> list[tuple[str, str, str, str]]:
    """``(source, mountpoint, type, options)`` of each mount, unescaped."""
    rows = []
    for line in Path("/proc/self/mounts").read_bytes().split(b"\n")[:-1]:
        source, point, kind, options, *_ = (
            os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda m: bytes([int(m[1], 8)]), field))
            for field in line.split(b" ")
        )
        rows.append((source, point, kind, options))
    return rows


def mounted_at(path: str | Path) -> tuple[str, str, str, str] | None:
    return next((row for row in reversed(mount_table()) if row[1] == str(path)), None)


def force_unmount(path: str | Path) -> None:
    for _ in range(3):
        if mounted_at(path) is None:
            return
        subprocess.run(["fusermount3", "-uz", "--", str(path)], capture_output=True, timeout=20,
                       check=False)  # fmt: skip


OTHER_SOURCE = ""
"""Folder to import dmfs from instead of this checkout; set by ``scripts/bench-walk --src``."""


def wait_until(done: Any, timeout_s: float = 20.0, what: str = "") -> Any:
    """Poll until ``done()`` is true; its value. AssertionError when it never is."""
    give_up = time.monotonic() + timeout_s
    while True:
        value = done()
        if value:
            return value
        if time.monotonic() > give_up:
            raise AssertionError(f"not within {timeout_s:g} s: {what or done}")
        time.sleep(0.02)


def processes_of_session() -> list[tuple[int, str]]:
    """Processes that carry our mark, with their command lines."""
    wanted = f"{MARK}={SESSION}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ")
                found.append((int(entry.name), words.decode(errors="replace")))
        except OSError:
            continue
    return found


def dmfs_command() -> list[str]:
    """The installed command, or the package of another checkout (``scripts/bench-walk --src``)."""
    if OTHER_SOURCE:
        return [sys.executable, "-P", "-m", "dmfs"]
    script = Path(sys.executable).parent / "dmfs"
    return [str(script)] if script.exists() else [sys.executable, "-m", "dmfs"]


def start_emulator(**options: Any) -> EmulatorProcess:
    emulator = EmulatorProcess(**options)
    EMULATORS.append(emulator)
    return emulator.start()


def stop_emulator(emulator: EmulatorProcess) -> str:
    """End it; what it said on stderr (a traceback there is a bug of the emulator)."""
    emulator.stop()
    if emulator in EMULATORS:
        EMULATORS.remove(emulator)
    return emulator.stderr()


def toml(config: Mapping[str, object]) -> str:
    return "".join(
        f"{key} = {value}\n" if isinstance(value, int | float) else f'{key} = "{value}"\n'
        for key, value in config.items()
    )


class Home:
    """Directories and environment of one user of the command: nothing is shared with others."""

    def __init__(
        self, directory: Path, emulator: EmulatorProcess | None, config: Mapping[str, object]
    ) -> None:
        self.directory = directory
        self.emulator = emulator
        self.cache, self.state = directory / "cache", directory / "state"
        self.config = directory / "config.toml"
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "home").mkdir(exist_ok=True)
        # The emulator's limits are off unless a test wants them, and nothing polls by itself.
        self.config.write_text(toml({"poll": 0, "rates": "off"} | dict(config)))
        bin_ = str(Path(sys.executable).parent)
        self.environ = {
            "PATH": f"{bin_}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(directory / "home"),
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            "DMFS_CONFIG": str(self.config),
            "DMFS_CACHE_DIR": str(self.cache),
            "DMFS_STATE_DIR": str(self.state),
            MARK: SESSION,
        }
        if OTHER_SOURCE:
            self.environ["PYTHONPATH"] = OTHER_SOURCE
        elif "PYTHONPATH" in os.environ:
            self.environ["PYTHONPATH"] = os.environ["PYTHONPATH"]
        if emulator is not None:
            self.environ |= {
                "DMFS_API_URL": emulator.api_url,
                "DMFS_CLIENT_ID": emulator.client_id,
                "DMFS_CLIENT_SECRET": emulator.client_secret,
            }

    def run(
        self, *words: str | bytes, environ: Mapping[str, str | None] | None = None,
        timeout_s: float = 60.0, **more: Any,
    ) -> subprocess.CompletedProcess[bytes]:  # fmt: skip
        """``dmfs WORDS``, ended by force when it takes too long."""
        return self.tool(*dmfs_command(), *words, environ=environ, timeout_s=timeout_s, **more)

    def tool(
        self, *words: str | bytes | Path, environ: Mapping[str, str | None] | None = None,
        timeout_s: float = 60.0, **more: Any,
    ) -> subprocess.CompletedProcess[bytes]:  # fmt: skip
        more = {"stdin": subprocess.DEVNULL, "capture_output": True} | more
        env = self.environment(environ)
        done: subprocess.CompletedProcess[bytes] = subprocess.run(  # type: ignore[assignment]
            list(words), env=env, timeout=timeout_s, check=False, **more
        )
        return done

    def environment(self, changes: Mapping[str, str | None] | None = None) -> dict[str, str]:
        merged = self.environ | dict(changes or {})
        return {key: value for key, value in merged.items() if value is not None}


class Manager:
    """Listens where a service manager would (sd_notify)."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0dmfs-test-{SESSION}-{next(_NUMBERS)}")
        self._socket.setblocking(False)
        self.address = "@" + self._socket.getsockname()[1:].decode()
        self._heard: list[str] = []

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def heard(self) -> list[str]:
        """All messages so far."""
        with contextlib.suppress(BlockingIOError):
            while True:
                self._heard.append(self._socket.recv(4096).decode())
        return self._heard


class Drive:
    """A mount made by ``dmfs mount --foreground``, with its log in a file."""

    def __init__(
        self,
        directory: Path,
        emulator: EmulatorProcess,
        *,
        source: str = "/",
        options: Sequence[str] = (),
        config: Mapping[str, object] | None = None,
        log_level: str = "debug",
        environ: Mapping[str, str | None] | None = None,
        home: Home | None = None,
        opener: Sequence[str] = (),
    ) -> None:
        """``opener``: words before the command that open and mount descriptor 3 for it."""
        self.emulator = emulator
        self._opener = list(opener)
        self.home = home or Home(directory, emulator, config or {})
        self.point = directory / "drive"
        self.point.mkdir(parents=True, exist_ok=True)
        self.log_file = directory / "mount.log"
        place = "/dev/fd/3" if opener else str(self.point)
        self._words = ["mount", "--foreground", source, place, "--log-level", log_level]
        for option in options:
            self._words += ["-o", option]
        self._environ = environ
        self.hands = Hands()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Drive:
        """Start it and wait until it says that it is ready (as to systemd)."""
        if self not in STARTED:
            STARTED.append(self)
        with Manager() as manager, self.log_file.open("ab") as log:
            process = self.process = subprocess.Popen(
                [*self._opener, *dmfs_command(), *self._words],
                env=self.home.environment(self._environ) | {"NOTIFY_SOCKET": manager.address},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

            def ready() -> bool:
                if process.poll() is not None:
                    words = self.log()[-2000:]
                    raise AssertionError(f"the mount ended ({process.returncode}): {words}")
                return any("READY=1" in message for message in manager.heard())

            wait_until(ready, START_TIMEOUT_S, "mounted")
        return self

    def __enter__(self) -> Drive:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def log(self) -> str:
        return self.log_file.read_text("utf-8", "replace") if self.log_file.exists() else ""

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to end; its exit status."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(STOP_TIMEOUT_S)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(STOP_TIMEOUT_S)

    def close(self) -> None:
        """End everything, whatever state it is in."""
        process = self.process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        force_unmount(self.point)
        self.hands.close()
        if self in STARTED:
            STARTED.remove(self)

    # Shorthands

    def path(self, *parts: str) -> str:
        return "/".join((str(self.point), *parts))

    def call(self, operation: str, *arguments: Any, timeout_s: float | None = None) -> Any:
        return self.hands.call(operation, *arguments, timeout_s=timeout_s)

    def tool(self, *words: str | bytes | Path, **more: Any) -> subprocess.CompletedProcess[bytes]:
        return self.home.tool(*words, **more)

    def counts(self) -> dict[str, int]:
        """Calls since the last ``emulator.reset()`` that are not 0."""
        return {route: n for route, n in self.emulator.counts().items() if n}


def leftovers() -> list[str]:
    """What tests left behind; ended and unmounted by this call."""
    found = []
    for drive in STARTED.copy():
        found.append(f"a mount at {drive.point} was not closed")
        drive.close()
    for emulator in EMULATORS.copy():
        found.append(f"an emulator (pid {emulator.pid}) was not stopped")
        stop_emulator(emulator)
    for pid, words in processes_of_session():
        found.append(f"process {pid}: {words}")
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)
    return found


def mounts_below(directory: Path) -> list[str]:
    return [row[1] for row in mount_table() if row[1].startswith(f"{directory}/")]
