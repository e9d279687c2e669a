"""Whether what is asked for fits into memory, before a byte of it is fetched."""

from __future__ import annotations

from dmfs.errors import TooLargeError
from dmfs.spans import GIB, MIB
from dmfs.system.concurrency import in_thread
from dmfs.system.resources import memory_left_bytes

ALWAYS_BYTES = 64 * MIB
"""Up to here nothing is looked at: that takes 0.1 ms."""


async def check_room(needed_bytes: int, what: str) -> None:
    """TooLargeError if a result of that size cannot be held. ``what`` begins the sentence."""
    if needed_bytes <= ALWAYS_BYTES:
        return
    left = await in_thread(memory_left_bytes)
    if needed_bytes > left:
        raise TooLargeError(
            f"{what} would hold {needed_bytes / GIB:.2f} GiB in memory, and {left / GIB:.2f} GiB"
            " are to be had",
            hint="read in smaller steps, or copy to a disk with get",
        )
