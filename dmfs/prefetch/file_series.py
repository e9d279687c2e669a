"""Programs that open one file after the other: which files they open next. Pure.

`grep -r`, `rsync`, `cp -r`, a viewer that opens a set of drawings: each small file costs a signing
and a round trip, one after the other (130 ms at 100 + 30 ms: 8 files a second), unless the drive
has already signed and fetched the next files of the listing. Programs read a listing up or down
(ripgrep starts at the end), and in several threads at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import cachetools

REACH = 4
"""Entries that a series may skip (a filter by name, say), or that its threads may swap."""
STEPS_BEFORE = 2
"""Steps that make a series: a user who opens two neighbours starts nothing."""
FIRST_WINDOW = 8
MAX_WINDOW = 48
"""Files ahead: 1000 files take 4.6 s with 48 and 7.5 s with 32. Also the most files fetched in vain
when a series stops."""
CURSORS = 4
DIRECTORIES = 64


@dataclass(slots=True)
class _Cursor:
    last: int
    frontier: int
    direction: int = 0
    steps: int = 0
    since_growth: int = 0
    window: int = FIRST_WINDOW
    used: int = 0

    def takes(self, index: int) -> bool:
        """Whether an open belongs to this series: near its last one, or within its window."""
        low, high = sorted((self.last, self.frontier))
        return low - REACH <= index <= high + REACH


class SeriesPlanner:
    """Opens of files, by directory and index in its listing → indices worth prefetching."""

    def __init__(self) -> None:
        self._directories: cachetools.LRUCache[str, list[_Cursor]] = cachetools.LRUCache(
            DIRECTORIES
        )
        self._opens = 0

    def on_open(self, directory: str, index: int, count: int) -> range:
        """The indices to prefetch now, in order, each once per series; empty most of the time.
        ``count``: the number of entries in the listing."""
        self._opens += 1
        cursor = self._cursor(directory, index)
        cursor.used = self._opens
        step = index - cursor.last
        direction = (step > 0) - (step < 0)
        if direction and direction == (cursor.direction or direction):
            cursor.direction = direction
            cursor.steps += 1
            cursor.last = index
        if cursor.steps < STEPS_BEFORE:
            return range(0)
        return self._ahead(cursor, count)

    def _cursor(self, directory: str, index: int) -> _Cursor:
        cursors = self._directories.setdefault(directory, [])
        for cursor in cursors:
            if cursor.takes(index):
                return cursor
        if len(cursors) >= CURSORS:
            cursors.remove(min(cursors, key=lambda cursor: cursor.used))
        cursors.append(_Cursor(index, index))
        return cursors[-1]

    @staticmethod
    def _ahead(cursor: _Cursor, count: int) -> range:
        """Refill the window with every step: with a refill at its half it would be half empty on
        average (1000 files in 7 s instead of 4.5). It doubles once half of it was used."""
        forward = cursor.direction
        if (cursor.frontier - cursor.last) * forward < 0:
            cursor.frontier = cursor.last
        cursor.since_growth += 1
        if cursor.since_growth * 2 > cursor.window:
            cursor.window = min(cursor.window * 2, MAX_WINDOW)
            cursor.since_growth = 0
        stop = cursor.last + forward * (cursor.window + 1)
        stop = max(-1, stop) if forward < 0 else min(count, stop)
        ahead = range(cursor.frontier + forward, stop, forward)
        if ahead:
            cursor.frontier = ahead[-1]
        return ahead
