"""A line that all connections share, in both directions."""

from __future__ import annotations

import trio

STEP_BYTES = 64 * 1024
"""What a connection puts on it at once. All have the same step, so each gets the same share."""


class Line:
    """First come, first served; a connection waits for its own bytes to pass."""

    def __init__(self) -> None:
        self._free_at = 0.0

    async def carry(self, count: int, bytes_per_s: float) -> None:
        """Wait until so many bytes have passed; at once where there is no limit (0)."""
        while count > 0 and bytes_per_s:
            step = min(count, STEP_BYTES)
            self._free_at = max(self._free_at, trio.current_time()) + step / bytes_per_s
            await trio.sleep_until(self._free_at)
            count -= step
