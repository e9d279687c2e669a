"""The wall clock, for what must outlive the process. Floor 0; everything else asks trio's clock."""

from __future__ import annotations

import time


def wall_time_s() -> float:
    """Seconds since the epoch."""
    return time.time()
