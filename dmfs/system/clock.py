"""Clocks for times that other processes read; everything else uses trio's clock.

Users may set the wall clock at any time. The boot clock cannot be set; it counts suspension and is
equal for all processes of a machine. It means nothing after a reboot, hence ``boot_id``.
"""

from __future__ import annotations

import functools
import time
from datetime import UTC, datetime
from pathlib import Path


def wall_time_s() -> float:
    """Seconds since the epoch."""
    return time.time()


def wall_time_ns() -> int:
    """Nanoseconds since the epoch."""
    return time.time_ns()


def local_now() -> datetime:
    """Now, in the time zone of this machine: for people."""
    return datetime.now(UTC).astimezone()


def boot_time_s() -> float:
    """Seconds since this machine started, including suspension."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@functools.cache
def boot_id() -> str:
    """The kernel's id of this run of the machine; '' if it gives none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


class Moment(tuple[float, str, float]):
    """A moment for the disk: wall clock, boot id, boot clock. Plain data in JSON."""

    __slots__ = ()

    @classmethod
    def now(cls, ago_s: float = 0.0) -> Moment:
        return cls((wall_time_s() - ago_s, boot_id(), boot_time_s() - ago_s))

    def age_s(self) -> float | None:
        """Seconds since then; None if no clock knows (a user set the wall clock back).

        Within one run of the machine the boot clock decides, even if the wall clock changed.
        """
        wall_s, boot, boot_s = self
        age_s = boot_time_s() - boot_s if boot and boot == boot_id() else wall_time_s() - wall_s
        return age_s if age_s >= 0 else None


_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799
"""Of the years 1 to 9999: datetime knows no others."""


def iso_time(time_ns: int) -> str:
    """``2022-05-06T08:24:41.123Z`` of nanoseconds since the epoch, in UTC; the years 1 to 9999."""
    seconds, rest = divmod(time_ns, 10**9)
    seconds = min(max(seconds, _FIRST_SECOND), _LAST_SECOND)
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{rest:09d}".rstrip("0").rstrip(".") + "Z"


def iso_seconds(time_s: float) -> str:
    """``2022-05-06T08:24:41Z`` of seconds since the epoch; '' outside of those
    years."""
    try:
        return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return ""
