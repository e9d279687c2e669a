"""Programs that read one file after the other: which files they read next. Pure.

`grep -r`, `rsync`, `cp -r`, a viewer that opens a set of drawings: each small file costs a signing
and a round trip, one after the other (130 ms at 100 + 30 ms: 8 files a second), unless the drive
has already signed and fetched the next files of the listing. Programs read a listing up or down
(ripgrep starts at the end), and in several threads at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import cachetools

REACH = 4
"""Entries that a series may skip (a filter by name, say), or that its threads may swap."""
STEPS_BEFORE = 2
"""Steps that make a series: a user who opens two neighbours starts nothing."""
FETCH_WINDOW = 8
"""Files fetched ahead: the most that is fetched in vain when a series stops. A GET takes a round
trip of the CDN, so eight of them feed a reader of 200 files a second."""
MAX_WINDOW = 48
"""Files signed ahead: a signing takes three times as long as the GET. 1000 files take 4.6 s with
48 and 7.5 s with 32. No more than half of what the series has read, though: signings are rationed.
"""
CURSORS = 4
DIRECTORIES = 64


class Ahead(NamedTuple):
    """Positions to sign now and to fetch now, in order, each once per series; empty mostly."""

    sign: range
    fetch: range


NOTHING = Ahead(range(0), range(0))


@dataclass(slots=True)
class _Cursor:
    last: int
    signed: int
    fetched: int
    direction: int = 0
    steps: int = 0
    used: int = 0

    def takes(self, position: int) -> bool:
        """Whether a read belongs to this series: near its last one, or within its window."""
        low, high = sorted((self.last, self.fetched))
        return low - REACH <= position <= high + REACH


class SeriesPlanner:
    """First reads of files, by directory and position in it → positions worth preparing."""

    def __init__(self) -> None:
        self._directories: cachetools.LRUCache[str, list[_Cursor]] = cachetools.LRUCache(
            DIRECTORIES
        )
        self._reads = 0

    def on_read(self, directory: str, position: int, count: int) -> Ahead:
        """``count``: the number of positions in the directory."""
        self._reads += 1
        cursor = self._cursor(directory, position)
        cursor.used = self._reads
        step = position - cursor.last
        direction = (step > 0) - (step < 0)
        if direction and direction == (cursor.direction or direction):
            cursor.direction = direction
            cursor.steps += 1
            cursor.last = position
        elif direction and cursor.steps <= STEPS_BEFORE:
            cursor.steps -= 1  # to and fro within a reach is no series; threads go on more often
            if cursor.steps < 1:
                cursor.direction, cursor.last, cursor.steps = 0, position, 0
        if cursor.steps < STEPS_BEFORE:
            return NOTHING
        return self._ahead(cursor, count)

    def _cursor(self, directory: str, position: int) -> _Cursor:
        cursors = self._directories.setdefault(directory, [])
        for cursor in cursors:
            if cursor.takes(position):
                return cursor
        if len(cursors) >= CURSORS:
            cursors.remove(min(cursors, key=lambda cursor: cursor.used))
        cursors.append(_Cursor(position, position, position))
        return cursors[-1]

    @staticmethod
    def _ahead(cursor: _Cursor, count: int) -> Ahead:
        """Refill the windows with every step: with a refill at its half one would be half empty on
        average (1000 files in 7 s instead of 4.5)."""
        window = min(max(cursor.steps // 2, FETCH_WINDOW), MAX_WINDOW)
        sign = _beyond(cursor, cursor.signed, window, count)
        fetch = _beyond(cursor, cursor.fetched, FETCH_WINDOW, count)
        cursor.signed = sign[-1] if sign else cursor.signed
        cursor.fetched = fetch[-1] if fetch else cursor.fetched
        return Ahead(sign, fetch)


def _beyond(cursor: _Cursor, frontier: int, window: int, count: int) -> range:
    """From behind the frontier, or the reader if he has come further, to the window's end."""
    forward = cursor.direction
    if (frontier - cursor.last) * forward < 0:
        frontier = cursor.last
    stop = cursor.last + forward * (window + 1)
    stop = max(-1, stop) if forward < 0 else min(count, stop)
    return range(frontier + forward, stop, forward)
