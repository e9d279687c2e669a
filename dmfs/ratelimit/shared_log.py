"""Which calls were made lately, by all dmfs processes of a client id on this machine. Floor 1.

One small file per quota below the state directory, under a directory named by a hash of the client
id, read and written whole under an flock. Times are those of the boot clock: nobody can set it, and
after a reboot what lies in the future is thrown away.

    header: magic, held until          then the moment of each call that still counts
"""

from __future__ import annotations

import fcntl
import hashlib
import logging
import os
import struct
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import trio

from dmfs.ratelimit.limits import Priority, Rate, wait_s
from dmfs.system.clock import boot_time_s

log = logging.getLogger(__name__)

HOLD_MAX_S = 3600.0
"""As the longest Retry-After that is believed; a later moment is from before a reboot."""
LOOK_AGAIN_S = 1.0
"""A quota without a rate is only looked at for holds of other processes, this often: there is
nothing to enter, and each look costs a thread (0.1 ms of CPU)."""
_HEADER = struct.Struct("<8sd")
_MAGIC = b"dmfsbud1"
_CALLS_MAX = 4096
"""More than any quota has; 32 KiB."""


class RateLog(Protocol):
    """The account of one client id."""

    async def take(self, quota: str, rate: Rate | None, priority: Priority) -> float:
        """Enter a call and return 0, or the seconds after which to ask again."""
        ...

    def hold(self, quota: str, seconds: float) -> None:
        """Nobody takes anything for so long."""
        ...


class Window:
    """What is known of one quota, and the one decision about it. Pure but for its fields."""

    __slots__ = ("calls", "held_until")

    def __init__(self, held_until: float = 0.0, calls: list[float] | None = None) -> None:
        self.held_until = held_until
        self.calls = calls or []

    def take(self, rate: Rate | None, priority: Priority, now: float) -> float:
        """As ``RateLog.take``, at a moment."""
        if self.held_until > now:
            return min(self.held_until - now, HOLD_MAX_S)
        if rate is None:
            return 0.0
        # what no longer counts, and what a reboot left in the future
        del self.calls[: bisect_left(self.calls, now - rate.span_s + 1e-9)]
        while self.calls and self.calls[-1] > now:
            self.calls.pop()
        seconds = wait_s(rate, self.calls, priority, now)
        if seconds <= 0:
            self.calls.append(now)
            del self.calls[:-_CALLS_MAX]
        return seconds

    def hold(self, seconds: float, now: float) -> None:
        """As ``RateLog.hold``, at a moment."""
        until = now + min(seconds, HOLD_MAX_S)
        if self.held_until > now + HOLD_MAX_S:
            self.held_until = 0.0
        self.held_until = max(self.held_until, until)


class MemoryRateLog:
    """The account of this process alone."""

    def __init__(self) -> None:
        self._accounts: dict[str, Window] = {}

    async def take(self, quota: str, rate: Rate | None, priority: Priority) -> float:
        """See ``RateLog``."""
        account = self._accounts.setdefault(quota, Window())
        return account.take(rate, priority, trio.current_time())

    def hold(self, quota: str, seconds: float) -> None:
        """See ``RateLog``."""
        self._accounts.setdefault(quota, Window()).hold(seconds, trio.current_time())


class FileRateLog:
    """Shared by all processes that use the directory. Without its disk it goes on alone."""

    def __init__(
        self, directory: Path, client_id: str, clock: Callable[[], float] = boot_time_s
    ) -> None:
        digest = hashlib.sha256(client_id.encode("utf-8", "surrogatepass")).hexdigest()[:16]
        self._directory = directory / "budget" / digest
        self._clock = clock
        self._alone = MemoryRateLog()
        self._broken = False
        self._holds: dict[str, float] = {}
        self._free_until: dict[str, float] = {}
        """Quotas without a rate that nobody holds (trio's clock)."""

    async def take(self, quota: str, rate: Rate | None, priority: Priority) -> float:
        """See ``RateLog``."""
        if rate is None and trio.current_time() < self._free_until.get(quota, 0.0):
            return 0.0
        if not self._broken:
            try:
                # a lock may have to be waited for, and a home directory may be far away
                looked_at = trio.current_time()
                seconds = await trio.to_thread.run_sync(self._take, quota, rate, priority)
                if rate is None and not seconds and quota not in self._holds:
                    self._free_until[quota] = looked_at + LOOK_AGAIN_S
                return seconds
            except OSError as error:
                self._give_up(error)
        return await self._alone.take(quota, rate, priority)

    def hold(self, quota: str, seconds: float) -> None:
        """Kept for the next ``take``, which writes it for all; that one comes at once."""
        self._alone.hold(quota, seconds)
        self._holds[quota] = self._clock() + seconds
        self._free_until.pop(quota, None)

    def _give_up(self, error: OSError) -> None:
        self._broken = True
        log.warning("calls are not counted together with other processes: %s", error)

    def _take(self, quota: str, rate: Rate | None, priority: Priority) -> float:
        def change(account: Window, now: float) -> float:
            until = self._holds.pop(quota, 0.0)
            if until > now:
                account.hold(until - now, now)
            return account.take(rate, priority, now)

        return self._change(quota, change)

    def _change(self, quota: str, change: Callable[[Window, float], float]) -> float:
        path = self._directory / quota
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            fd = os.open(path, flags, 0o600)
        except FileNotFoundError:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(path, flags, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            before = os.pread(fd, _HEADER.size + 8 * _CALLS_MAX, 0)
            account = _decode(before)
            seconds = change(account, self._clock())
            after = _encode(account)
            if after != before:
                os.pwrite(fd, after, 0)
                os.ftruncate(fd, len(after))
            return seconds
        finally:
            os.close(fd)


def _encode(account: Window) -> bytes:
    calls = struct.pack(f"<{len(account.calls)}d", *account.calls)
    return _HEADER.pack(_MAGIC, account.held_until) + calls


def _decode(raw: bytes) -> Window:
    """An empty account for what another version wrote or a crash left behind."""
    if len(raw) < _HEADER.size:
        return Window()
    magic, held_until = _HEADER.unpack_from(raw)
    count = (len(raw) - _HEADER.size) // 8
    calls = list(struct.unpack_from(f"<{count}d", raw, _HEADER.size))
    numbers = [held_until, *calls]
    if magic != _MAGIC or any(not 0 <= number < 1e12 for number in numbers):
        return Window()
    return Window(held_until, sorted(calls))
