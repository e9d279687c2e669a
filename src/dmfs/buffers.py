"""Large buffers, used again. Floor 1.

A new bytearray of 8 MiB is zeroed and its pages are faulted in one by one, some 3 ms on the loop
for each; a stream at 600 MB/s makes 75 of them a second.
"""

from __future__ import annotations

POOLED_FROM_BYTES = 1024 * 1024
POOLED_BUFFERS = 4
"""A stream gives one back for each that it takes; more would only be memory that nobody counts."""


class BufferPool:
    """``take`` a buffer with undefined content, ``give`` it back."""

    def __init__(self) -> None:
        self._free: list[bytearray] = []

    def take(self, size_bytes: int) -> bytearray:
        for index in range(len(self._free) - 1, -1, -1):
            if len(self._free[index]) == size_bytes:
                return self._free.pop(index)
        return bytearray(size_bytes)

    def give(self, buffer: bytearray) -> None:
        """Keep a buffer for the next ``take``, unless anybody still looks at it: then its next
        content would be seen through the old view, and wrong bytes handed out."""
        if len(buffer) < POOLED_FROM_BYTES or len(self._free) >= POOLED_BUFFERS:
            return
        try:
            # a bytearray refuses to change its size while any memoryview of it lives
            buffer.append(0)
        except BufferError:
            return
        buffer.pop()
        self._free.append(buffer)
