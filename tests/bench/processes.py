"""Child processes that end with us, and what /proc tells of them."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

_STOP_TIMEOUT_S = 5.0
_PR_SET_PDEATHSIG = 1
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_LIBC = ctypes.CDLL(None)


class CommandFailed(RuntimeError):
    """A program of the benchmark failed or took too long; the message has its last words."""


def _die_with_parent() -> None:
    """In the child: end with the benchmark, however that ends (even by SIGKILL)."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class Child:
    """A program that runs until it is stopped. Output goes to a log file."""

    def __init__(
        self, arguments: Sequence[str], log: Path, env: Mapping[str, str] | None = None,
        *, stop_at_once: bool = False,
    ) -> None:  # fmt: skip
        """``stop_at_once``: it holds nothing worth a farewell, and its farewells take long."""
        self.log = log
        self._stop_at_once = stop_at_once
        with log.open("ab") as sink:
            self._popen = subprocess.Popen(
                list(arguments), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink,
                env=None if env is None else dict(env), start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509 - we start no threads
            )  # fmt: skip
        self.pid = self._popen.pid

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def last_words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]

    def stop(self) -> None:
        """SIGTERM, then SIGKILL. Harmless when it is gone."""
        if self.running and self._stop_at_once:
            self._popen.kill()
        elif self.running:
            self._popen.terminate()
        try:
            self._popen.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            try:
                self._popen.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                pass  # in the kernel's hands (state D); its mount is taken away next

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def run(
    arguments: Sequence[str], timeout_s: float, env: Mapping[str, str] | None = None,
    given: bytes = b"",
) -> subprocess.CompletedProcess[bytes]:  # fmt: skip
    """Run to the end with ``given`` as its stdin; CommandFailed if it fails or the time is over."""
    try:
        done = subprocess.run(
            list(arguments), capture_output=True, timeout=timeout_s, check=False,
            env=None if env is None else dict(env), input=given,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise CommandFailed(f"{arguments[0]}: not done after {timeout_s:.0f} s") from None
    if done.returncode != 0:
        words = done.stderr.decode(errors="replace")[-600:].strip()
        raise CommandFailed(f"{' '.join(arguments)[:200]}: status {done.returncode}: {words}")
    return done


def timed(arguments: Sequence[str], timeout_s: float) -> float:
    """Seconds of wall clock until it ended well."""
    began = time.perf_counter()
    run(arguments, timeout_s)
    return time.perf_counter() - began


def family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        found.append(todo.pop())
        todo += children.get(found[-1], [])
    return found


def _stat(pid: int) -> list[str]:
    """Fields from ``state`` on (the third of proc(5)); empty if the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and its family so far, waited-for children included."""
    ticks = 0
    for member in family(pid):
        fields = _stat(member)
        if fields:
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / _TICKS_PER_S


def memory_bytes(pid: int) -> int:
    """Resident memory of a process and its family; pages they share count once (PSS)."""
    total = 0
    for member in family(pid):
        try:
            text = Path(f"/proc/{member}/smaps_rollup").read_text()
        except OSError:
            continue
        total += next(int(line.split()[1]) for line in text.splitlines() if "Pss:" in line) * 1024
    return total
