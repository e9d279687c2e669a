"""The log of recent API calls, shared by all dmfs processes of a client id on this machine.

One small file per quota below the state directory, in a directory named by a hash of the client
id, read and written whole under an flock. Times are those of the boot clock: nothing can set it,
and what a reboot leaves in the future is dropped.

    header: magic, blocked until          then the moment of each call that still counts
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import struct
from bisect import bisect_left
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import trio

from dmfs.ratelimit.limits import Priority, Rate, wait_s
from dmfs.system.clock import boot_time_s
from dmfs.system.disk_health import DiskHealth
from dmfs.system.disk_threads import DiskThreads
from dmfs.system.private_files import private_directory

log = logging.getLogger(__name__)

BACK_OFF_MAX_S = 3600.0
"""As the longest Retry-After that is believed; a later moment is from before a reboot."""
RECHECK_S = 1.0
"""A quota without a rate is read only for the back-offs of other processes, this often: there is
nothing to write, and each look costs a thread (0.1 ms of CPU)."""
DISK_PLACES = 4
"""Calls of one quota wait for each other's lock anyway; there are some six quotas."""
DISK_PATIENCE_S = 5.0
"""A call takes 0.1 ms; this once, a disk that hangs delays its caller."""
LOOK_S = 0.02
"""A status is given at once, also while the disk hangs."""
_DIRECTORY = "budget"
"""Its name, like the magic, is that of older versions, which may run beside this one."""
_HEADER = struct.Struct("<8sd")
_MAGIC = b"dmfsbud1"
_CALLS_MAX = 4096
"""More than any quota has; 32 KiB."""


class RateLog(Protocol):
    """The calls of one client id."""

    async def take(self, quota: str, rate: Rate | None, priority: Priority) -> float:
        """Log a call and return 0, or return the seconds after which to try again."""
        ...

    def back_off(self, quota: str, seconds: float) -> None:
        """Let no call through for so long."""
        ...

    async def look(self, rates: Mapping[str, Rate]) -> dict[str, Use]:
        """How far each quota is used, without a call. Never waits long."""
        ...

    def gauges(self) -> dict[str, int]:
        """Counters under names that begin with ``ratelimit.``."""
        ...

    def sharing(self) -> dict[str, Any] | None:
        """Where and how the quota is shared beyond this machine; None if it is not."""
        ...


class Use(NamedTuple):
    """Of one quota, now."""

    calls: int
    """That count, of all processes as far as is known."""
    held_for_s: float
    """So long no call goes, after a 429; 0: not held."""


class Window:
    """The calls of one quota that still count, and the one decision about them. Pure."""

    __slots__ = ("blocked_until", "calls")

    def __init__(self, blocked_until: float = 0.0, calls: list[float] | None = None) -> None:
        self.blocked_until = blocked_until
        self.calls = calls or []

    def take(self, rate: Rate | None, priority: Priority, now: float) -> float:
        """As ``RateLog.take``, at a moment."""
        if self.blocked_until > now:
            return min(self.blocked_until - now, BACK_OFF_MAX_S)
        if rate is None:
            return 0.0
        # drop what no longer counts, and what a reboot left in the future
        del self.calls[: bisect_left(self.calls, now - rate.span_s + 1e-9)]
        while self.calls and self.calls[-1] > now:
            self.calls.pop()
        seconds = wait_s(rate, self.calls, priority, now)
        if seconds <= 0:
            self.calls.append(now)
            del self.calls[:-_CALLS_MAX]
        return seconds

    def use(self, rate: Rate, now: float) -> Use:
        """What counts at a moment; changes nothing."""
        counting = sum(now - rate.span_s < at <= now for at in self.calls)
        return Use(counting, min(max(0.0, self.blocked_until - now), BACK_OFF_MAX_S))

    def back_off_until(self, moment: float, now: float) -> None:
        """Let no call through before ``moment``."""
        if self.blocked_until > now + BACK_OFF_MAX_S:
            self.blocked_until = 0.0
        self.blocked_until = max(self.blocked_until, min(moment, now + BACK_OFF_MAX_S))

    def add(self, calls: list[float]) -> None:
        """Log calls that were made without this window."""
        self.calls = sorted(self.calls + calls)[-_CALLS_MAX:]


class MemoryRateLog:
    """The calls of this process alone."""

    def __init__(self) -> None:
        self._windows: dict[str, Window] = {}

    async def take(self, quota: str, rate: Rate | None, priority: Priority) -> float:
        """See ``RateLog``."""
        window = self._windows.setdefault(quota, Window())
        return window.take(rate, priority, trio.current_time())

    def back_off(self, quota: str, seconds: float) -> None:
        """See ``RateLog``."""
        now = trio.current_time()
        self._windows.setdefault(quota, Window()).back_off_until(now + seconds, now)

    async def look(self, rates: Mapping[str, Rate]) -> dict[str, Use]:
        """See ``RateLog``."""
        now = trio.current_time()
        return {name: self._windows.get(name, Window()).use(rates[name], now) for name in rates}

    def gauges(self) -> dict[str, int]:
        """See ``RateLog``."""
        return {}

    def sharing(self) -> dict[str, Any] | None:
        """See ``RateLog``."""
        return None


@dataclass(slots=True)
class _Quota:
    """This process's view of one quota. Only the loop touches it; disk threads get copies."""

    window: Window = field(default_factory=Window)
    """The file's, as last read."""
    unshared: list[float] = field(default_factory=list)
    """Calls that are not in the file yet."""
    blocked_until: float = 0.0
    """A back-off that is not in the file yet."""
    free_until: float = 0.0
    """Without a rate: not read again before (trio's clock)."""


class FileRateLog:
    """Shared by all processes that use the directory.

    While its disk fails or hangs, this process goes on from what it read last and counts alone;
    the file gets these calls as soon as the disk works again.
    """

    def __init__(
        self, directory: Path, client_id: str, clock: Callable[[], float] = boot_time_s,
        *, kind: str = "",
    ) -> None:  # fmt: skip
        digest = hashlib.sha256(client_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        self._directory = directory / _DIRECTORY / (digest + kind)
        self._clock = clock
        self._quotas: dict[str, _Quota] = {}
        self._threads = DiskThreads(DISK_PLACES, DISK_PATIENCE_S)
        self._health = DiskHealth(
            log, "the state directory", "calls are not counted together with other processes"
        )
        self._calls_alone = 0

    async def take(self, quota: str, rate: Rate | None, priority: Priority) -> float:
        """See ``RateLog``."""
        state = self._quotas.setdefault(quota, _Quota())
        if rate is None and trio.current_time() < state.free_until:
            return 0.0
        if not self._health.usable("write"):
            return self._take_alone(state, rate, priority)
        # taken out before the await: two tasks must not enter the same calls
        unshared, state.unshared = state.unshared, []
        blocked_until, state.blocked_until = state.blocked_until, 0.0
        read_at = trio.current_time()
        change = partial(_enter, unshared, blocked_until, rate, priority)
        work = partial(_take, self._directory / quota, self._clock, change)
        try:
            state.window, seconds = await self._threads.run(work)
        except BaseException as error:
            state.unshared = sorted(unshared + state.unshared)
            state.blocked_until = max(blocked_until, state.blocked_until)
            if not isinstance(error, OSError):
                raise
            self._health.failed("write", error)
            return self._take_alone(state, rate, priority)
        self._health.worked("write")
        if rate is None and not seconds and not state.blocked_until:
            state.free_until = read_at + RECHECK_S
        return seconds

    def _take_alone(self, state: _Quota, rate: Rate | None, priority: Priority) -> float:
        now = self._clock()
        window = Window(state.window.blocked_until, list(state.window.calls))
        seconds = _enter(state.unshared, state.blocked_until, rate, priority, window, now)
        if not seconds and rate is not None:
            state.unshared.append(now)
            del state.unshared[:-_CALLS_MAX]
            self._calls_alone += 1
        return seconds

    def back_off(self, quota: str, seconds: float) -> None:
        """See ``RateLog``. The next ``take`` writes it for all; that one comes at once."""
        state = self._quotas.setdefault(quota, _Quota())
        state.blocked_until = max(state.blocked_until, self._clock() + seconds)
        state.free_until = 0.0

    async def look(self, rates: Mapping[str, Rate]) -> dict[str, Use]:
        """See ``RateLog``: from the files if their disk answers at once, else as last read."""
        windows: dict[str, Window] = {}
        if self._health.usable("read"):
            with trio.move_on_after(LOOK_S), suppress(OSError):
                windows = await self._threads.run(partial(_read, self._directory, tuple(rates)))
        now = self._clock()
        found = {}
        for name, rate in rates.items():
            state = self._quotas.get(name, _Quota())
            window = windows.get(name, state.window)
            alone = Window(state.blocked_until, state.unshared).use(rate, now)
            shared = window.use(rate, now)
            found[name] = Use(shared.calls + alone.calls, max(shared.held_for_s, alone.held_for_s))
        return found

    def sharing(self) -> dict[str, Any] | None:
        """See ``RateLog``."""
        return None

    async def drain(self, quota: str) -> list[float]:
        """The calls of all processes, oldest first; they are forgotten. Those of this process alone
        while the disk fails."""
        state = self._quotas.setdefault(quota, _Quota())
        calls, state.unshared = state.unshared, []

        def work() -> list[float]:
            found = _read(self._directory, (quota,)).get(quota, Window()).calls
            return _drained(self._directory / quota, self._clock) if found else []

        with suppress(OSError):
            calls = sorted(calls + await self._threads.run(work))
            state.window.calls = []
        return calls

    def give_back(self, quota: str, calls: list[float]) -> None:
        """What was drained counts again."""
        state = self._quotas.setdefault(quota, _Quota())
        state.unshared = sorted(state.unshared + calls)

    def read(self, rates: Mapping[str, Rate]) -> dict[str, list[float]]:
        """Blocking: the calls in the files, oldest first."""
        found = _read(self._directory, tuple(rates))
        return {quota: found.get(quota, Window()).calls for quota in rates}

    def gauges(self) -> dict[str, int]:
        """Calls that other processes did not know of when they were made."""
        return {"ratelimit.calls_alone": self._calls_alone}


def _enter(
    unshared: list[float],
    blocked_until: float,
    rate: Rate | None,
    priority: Priority,
    window: Window,
    now: float,
) -> float:
    """``Window.take`` after entering what happened without the window."""
    if unshared:
        window.add(unshared)
    if blocked_until > now:
        window.back_off_until(blocked_until, now)
    return window.take(rate, priority, now)


def _take(
    path: Path, clock: Callable[[], float], change: Callable[[Window, float], float]
) -> tuple[Window, float]:
    """Blocking: read, change and write the file under its lock. OSError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        fd = os.open(path, flags, 0o600)
    except FileNotFoundError:
        private_directory(path.parent)
        fd = os.open(path, flags, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        before = os.pread(fd, _HEADER.size + 8 * _CALLS_MAX, 0)
        window = _decode(before)
        seconds = change(window, clock())
        after = _encode(window)
        if after != before:
            os.pwrite(fd, after, 0)
            os.ftruncate(fd, len(after))
        return window, seconds
    finally:
        os.close(fd)


def _drained(path: Path, clock: Callable[[], float]) -> list[float]:
    """Blocking: the calls in the file, which has none then. OSError."""
    found: list[float] = []

    def change(window: Window, _now: float) -> float:
        found.extend(window.calls)
        window.calls = []
        return 0.0

    _take(path, clock, change)
    return found


def tell_once(path: Path, word: str, tell: Callable[[], None]) -> None:
    """Blocking: ``tell``, unless a process of this machine has told it for this ``word``. A disk
    that fails is no reason not to: twice is better than never."""
    fd = -1
    try:
        private_directory(path.parent)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if os.pread(fd, 256, 0) == word.encode():
            os.close(fd)
            return
    except OSError as error:
        log.debug("%s cannot be used: %s", path, error)
    try:
        tell()
        with suppress(OSError):
            os.ftruncate(fd, 0)
            os.pwrite(fd, word.encode(), 0)
    finally:
        with suppress(OSError):
            os.close(fd)


def _read(directory: Path, quotas: tuple[str, ...]) -> dict[str, Window]:
    """Blocking: the files as they are. Without their locks: a look that meets a write is a little
    wrong, once."""
    found = {}
    for name in quotas:
        with suppress(FileNotFoundError):
            found[name] = _decode((directory / name).read_bytes()[: _HEADER.size + 8 * _CALLS_MAX])
    return found


def _encode(window: Window) -> bytes:
    calls = struct.pack(f"<{len(window.calls)}d", *window.calls)
    return _HEADER.pack(_MAGIC, window.blocked_until) + calls


def _decode(raw: bytes) -> Window:
    """An empty window for what another version wrote or a crash left behind; a number that is none
    costs only itself: without the others, 300 calls would go at once and be refused."""
    if len(raw) < _HEADER.size:
        return Window()
    magic, blocked_until = _HEADER.unpack_from(raw)
    count = (len(raw) - _HEADER.size) // 8
    calls = list(struct.unpack_from(f"<{count}d", raw, _HEADER.size))
    if magic != _MAGIC:
        return Window()
    if not _is_moment(blocked_until):
        blocked_until = 0.0
    return Window(blocked_until, sorted(filter(_is_moment, calls)))


def _is_moment(number: float) -> bool:
    return 0 <= number < 1e12
