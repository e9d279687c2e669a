"""A session of a user's own: home, message bus, virtual screen, and the end of all of it."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

MARK = "DMFS_NEIGHBOUR"
"""In the environment of everything that is started here, and of what that starts."""
STOP_S = 3.0
_START_S = 20.0


class Session:
    """Programs of one neighbour. What a bus activates is a child of the bus: it ends here too."""

    def __init__(self, directory: Path, environ: Mapping[str, str]) -> None:
        self.home = directory / "home"
        self.logs = directory / "logs"
        runtime = directory / "run"
        for each in (self.home, self.logs, runtime):
            each.mkdir(parents=True)
        runtime.chmod(0o700)
        self._children: list[subprocess.Popen[bytes]] = []
        self.mark = f"{MARK}={directory.name}.{time.time_ns()}"
        name, _, value = self.mark.partition("=")
        # Cairo: drawn by a software GL, on a busy machine, Nautilus's spinner took all of its main
        # loop, and it showed "Loading…" for good (3 of 3 times; with Cairo it never did).
        self.environ = {
            **environ, name: value, "HOME": str(self.home), "XDG_RUNTIME_DIR": str(runtime),
            "QT_QPA_PLATFORM": "offscreen", "GSETTINGS_BACKEND": "keyfile", "NO_AT_BRIDGE": "1",
            "GDK_BACKEND": "x11", "GSK_RENDERER": "cairo",
        }  # fmt: skip

    def start(self, *words: str | Path) -> subprocess.Popen[bytes]:
        """A program, in the background; what it says goes to a file of ``logs``."""
        name = Path(words[0]).name
        with (self.logs / f"{name}.log").open("ab") as log:
            child = subprocess.Popen(
                list(words), env=self.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.home, start_new_session=True,
            )  # fmt: skip
        self._children.append(child)
        return child

    def run(self, *words: str | Path, timeout_s: float = 20.0) -> str:
        """A short program to its end; its stdout. What it says on stderr goes to ``logs``."""
        with (self.logs / f"{Path(words[0]).name}.log").open("ab") as log:
            done = subprocess.run(
                list(words), env=self.environ, stdin=subprocess.DEVNULL, stderr=log, text=True,
                stdout=subprocess.PIPE, cwd=self.home, timeout=timeout_s, check=False,
            )  # fmt: skip
        return done.stdout

    def bus(self) -> None:
        """A session bus."""
        words = ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1"]
        address = self._first_line(words)
        self.environ["DBUS_SESSION_BUS_ADDRESS"] = address

    def screen(self) -> None:
        """A virtual screen."""
        words = ["Xvfb", "-screen", "0", "1280x1000x24", "-nolisten", "tcp", "-displayfd", "1"]
        self.environ["DISPLAY"] = ":" + self._first_line(words)

    def _first_line(self, words: Sequence[str]) -> str:
        """Start a service; what it says when it is there."""
        with (self.logs / f"{words[0]}.log").open("ab") as log:
            child = subprocess.Popen(
                words, env=self.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=log, start_new_session=True,
            )  # fmt: skip
        self._children.append(child)
        assert child.stdout is not None
        if not select.select([child.stdout], [], [], _START_S)[0]:
            raise AssertionError(f"{words[0]} said nothing in {_START_S:g} s")
        with child.stdout:
            line = child.stdout.readline().decode().strip()
        if not line:
            raise AssertionError(f"{words[0]} ended: {(self.logs / f'{words[0]}.log').read_text()}")
        return line

    def processes(self) -> list[int]:
        """What runs of this session, by its mark."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    if self.mark.encode() in (entry / "environ").read_bytes().split(b"\0"):
                        found.append(int(entry.name))
        return found

    def close(self) -> None:
        """End all of it: politely, then by force."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self.processes():
                with contextlib.suppress(OSError):
                    os.kill(pid, number)
            give_up = time.monotonic() + STOP_S
            while self.processes() and time.monotonic() < give_up:
                time.sleep(0.05)
                with contextlib.suppress(ChildProcessError):
                    while os.waitpid(-1, os.WNOHANG)[0]:
                        pass
        for child in self._children:
            child.poll()  # it was waited for above
        shutil.rmtree(self.home, ignore_errors=True)
