"""What reading found out, and the next transaction writes down.

A reader must not wait for the disk to take something: that an object was used, that what is there
of it fits nothing, that a block of it is damaged, how long it really is. A drive that is killed
loses the order of eviction, and finds or asks the rest again.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

from dmfs.blocks.store.index import Index

USES_MAX = 4096
"""Objects whose use is remembered; beyond, the order of eviction is a little older."""
USES_DUE = 64
"""So many are worth a transaction of their own."""


class BadBlock(NamedTuple):
    """A block that is damaged, and the room it takes."""

    row: int
    number: int
    size_bytes: int


class Pending:
    """Any thread may add; ``write`` runs inside a transaction, which ends with ``done``, or is
    rolled back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: dict[int, float] = {}
        self._remains: set[int] = set()
        self._bad: list[BadBlock] = []
        self._sizes: dict[str, int] = {}
        self._written = self._copy()

    @property
    def due(self) -> bool:
        """Whether it should be written without waiting for a transaction of somebody else's."""
        return bool(self._remains or self._bad or self._sizes) or len(self._used) >= USES_DUE

    def used(self, row: int, at: float) -> None:
        """An object was used (wall time)."""
        with self._lock:
            if len(self._used) < USES_MAX or row in self._used:
                self._used[row] = at

    def remains(self, row: int) -> None:
        """An object that fits nothing is to be removed."""
        with self._lock:
            self._remains.add(row)

    def bad(self, block: BadBlock) -> None:
        with self._lock:
            self._bad.append(block)

    def size(self, storage_id: str, size_bytes: int) -> None:
        """The real size of an object. It is at rest before any block that comes after it."""
        with self._lock:
            self._sizes[storage_id] = size_bytes

    def forget_rows(self) -> None:
        """The index is another one: its rows are not ours."""
        with self._lock:
            self._used.clear()
            self._remains.clear()
            self._bad = []

    def write(self, index: Index) -> None:
        """Write what there is."""
        with self._lock:
            self._written = used, remains, bad, sizes = self._copy()
        index.touch(used.items())
        index.remove_objects([*remains])
        index.doom(remains)
        for block in bad:
            if index.remove_block(block.row, block.number):
                index.account(block.row, -block.size_bytes)
        index.remember_sizes(sizes.items())

    def done(self) -> set[int]:
        """What ``write`` wrote is committed. Returns the objects whose files go now."""
        used, remains, bad, sizes = self._written
        with self._lock:
            for row, at in used.items():
                if self._used.get(row) == at:
                    del self._used[row]
            self._remains -= remains
            self._bad = self._bad[len(bad) :]  # others came behind them
            for key, size_bytes in sizes.items():
                if self._sizes.get(key) == size_bytes:
                    del self._sizes[key]
        return remains

    def _copy(self) -> tuple[dict[int, float], set[int], list[BadBlock], dict[str, int]]:
        return dict(self._used), set(self._remains), list(self._bad), dict(self._sizes)
