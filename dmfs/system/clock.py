"""Clocks for what must outlive the process or be shared with others. Floor 0; everything else asks
trio's clock.

The wall clock may be set at any time. The boot clock may not, counts the time of suspension, and
is the same for all processes of a machine; it means nothing after a reboot, hence ``boot_id``.
"""

from __future__ import annotations

import functools
import time
from pathlib import Path


def wall_time_s() -> float:
    """Seconds since the epoch."""
    return time.time()


def boot_time_s() -> float:
    """Seconds since this machine started, suspension included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


@functools.cache
def boot_id() -> str:
    """Names this run of the machine; '' where the kernel does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


class Moment(tuple[float, str, float]):
    """A moment to be kept on disk: wall clock, boot, boot clock. Plain data in JSON."""

    __slots__ = ()

    @classmethod
    def now(cls, ago_s: float = 0.0) -> Moment:
        return cls((wall_time_s() - ago_s, boot_id(), boot_time_s() - ago_s))

    def age_s(self) -> float | None:
        """Seconds since then; None where no clock can tell (the wall clock was set back).

        Within one run of the machine the boot clock decides, whatever became of the wall clock.
        """
        wall_s, boot, boot_s = self
        age_s = boot_time_s() - boot_s if boot and boot == boot_id() else wall_time_s() - wall_s
        return age_s if age_s >= 0 else None
