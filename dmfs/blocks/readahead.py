"""The read planner. Pure: the reads of one open file in, plans out.

docs/performance.md has the measurements behind the constants.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from dmfs.spans import BLOCK_BYTES, EMPTY, MAX_WINDOW_BYTES, MIB, SMALL_FILE_BYTES, Span

PART_BYTES = 4 * MIB
"""Longest single GET of a stream: 675 MB/s at 30 ms and 50 MB/s a connection (496 with 8 MiB, 618
with 2). On multiples of it: 290 GETs a GiB instead of 500 to 760, and buffers of one size."""

MIN_PART_BYTES = MIB
"""Parts of a small window are an eighth of it, but not less than this, so that several connections
share the ramp: with parts of 8 MiB from the start each doubling took a whole part's 200 ms."""

LOOK_BYTES = 2 * BLOCK_BYTES
"""What a first short read at the top of a file fetches. A type sniffer, a thumbnailer or ``head``
reads 16 KiB at most and goes; the kernel makes 16 to 64 KiB of that. It was 1.3 MB."""

WHOLE_BYTES = MIB
"""A file up to this size is fetched whole by a look, too: its bytes take no longer than the second
round trip that a reader of all of it would need."""

STREAM_BYTES = 2 * BLOCK_BYTES
"""A reader that has had so much from the top on is a stream. One that asks for it at once (``cat``
and ``cp`` do) loses nothing, any other one round trip."""

FIRST_WINDOW_BYTES = MIB + BLOCK_BYTES
"""A program that reads 1 MiB makes the kernel read 128 KiB more."""

LEAST_SPARE_BYTES = MIB // 2
"""What a scattered reader leaves room for is saved up to this: spent at once it took 66 to 76 GETs
for a PDF's first page, with this 20 to 42."""

GROWTH_BYTES = FIRST_WINDOW_BYTES
"""No window grows on less than this: where the kernel may read 512 KiB ahead, a program that reads
260 KiB looks like one that reads 0.9 MiB."""

GROWTH_SHARE = 4
"""A window doubles when its reader stalls after a fourth of it: 675 MB/s (591 after a half, 729
after an eighth). At most four times of what is read, or the first window, is fetched in vain."""

BDP_FACTOR = 8
"""A window grows up to so many times the bytes that keep the link busy (``link_stats``). Eight has
97 to 100 % of the speed in a model of thirteen links; six had 95, four 77."""

DISK_PART_BYTES = 4 * MIB
"""Longest single read of the disk, on multiples of it: huge pages (2600 against 1000 MB/s), and no
kernel read lies across two. Parts of 2 MiB cost a quarter more CPU, 8 MiB no less."""

DISK_WINDOW_BYTES = 16 * MIB
"""How far ahead a stream reads what is at rest: four parts hide the hop to a thread and back, and
the bytes are still in the processor's cache when they are given out."""

NEAR_BYTES = 2 * BLOCK_BYTES
"""The kernel has two reads in flight and threads interleave them: reads this far out of order are
still of one stream."""

SKIPPED_BYTES = BLOCK_BYTES // 2
"""So little between two whole ranges (a tar's headers) is read on across; one that is farther away
has a cursor of its own. (Two threads that read a row group each took each other's: 1.9 s for 64 MiB
by columns at 30 ms, 1.2 now.)"""

FORWARD_BYTES = 16 * MIB
BACK_BYTES = 1 * MIB
"""Seeks within these stay with their cursor (a header re-read, a section skipped)."""

MAX_CURSORS = 4
"""Streams distinguished within one open file: a header and a body, in two threads."""


class Plan(NamedTuple):
    """What to get and wait for, what to fetch ahead if there is room (byte ranges), and how long
    a single GET may be."""

    demand: Span
    ahead: Span
    part_bytes: int = PART_BYTES


@dataclass(slots=True)
class _Cursor:
    """One stream within an open file: the stretch ``[low, high)`` that it has read without a seek,
    and ``[fetched_low, fetched_high)``, what is known to be fetched or on its way around that."""

    low: int
    high: int
    window: int
    fetched_low: int
    fetched_high: int
    backward: bool = False
    since_growth: int = 0
    used: int = 0
    enough: bool = False
    """The link is full: the window has stopped growing."""
    run_bytes: int = 0
    """Read in one go up to here: no byte left out, none read in another order."""
    young: bool = False
    """Of a file's first reader, at its top; not known to be a stream yet."""
    lone_stop: int = 0
    """The end of the one whole range that this run is so far; 0 once it was read on from there."""

    def not_fetched(self, span: Span) -> int:
        """The bytes of those blocks of a range that are not known to be fetched."""
        low = self.fetched_low - self.fetched_low % BLOCK_BYTES
        high = self.fetched_high + -self.fetched_high % BLOCK_BYTES
        start, stop = max(span.start, low), min(span.stop, high)
        return _in_blocks(*span) - (_in_blocks(start, stop) if start < stop else 0)

    def distance(self, span: Span) -> int | None:
        """How many bytes a read lies away from this stream; None if it is of another one."""
        if span.start > self.high:
            gap = span.start - self.high
            return gap if gap <= FORWARD_BYTES else None
        if span.stop < self.low:
            gap = self.low - span.stop
            return gap if gap <= BACK_BYTES else None
        return 0


def _in_blocks(start: int, stop: int) -> int:
    """The length of the blocks that a range overlaps, in bytes."""
    return (-(-stop // BLOCK_BYTES) - start // BLOCK_BYTES) * BLOCK_BYTES


class Planner:
    """Turns one open file's reads into plans.

    The window is how far ahead of its reader a stream is fetched. A reader that starts at the top
    of the file gets ``LOOK_BYTES`` in all, then twice that, and ``FIRST_WINDOW_BYTES`` once it is a
    stream; one that starts anywhere else nothing until it has read on from there. The window
    doubles when the reader had to wait although a good part of it was used up since the last time,
    and after a seek it is never more than the stretch read before the seek: a reader of 64 KiB
    here and there soon gets exactly what it reads, one that skips a section after 50 MB keeps its
    window.

    From the first jump on, all that is fetched is at most twice the blocks that were asked for: a
    PDF's page or a zip's directory is not worth a megabyte each.

    A door that knows how much its program wants says so with ``until``. Such a range is fetched to
    its end, and nothing beyond it before the program has read on from there: 3 of 20 columns of a
    Parquet file with chunks of 205 KiB cost 3.1 times their bytes, now 1.6, which are their blocks.
    """

    def __init__(
        self,
        size_bytes: int,
        max_window_bytes: int = MAX_WINDOW_BYTES,
        at_rest: Callable[[int], bool] = lambda _offset: False,
        bdp_bytes: Callable[[], float] = lambda: math.inf,
    ) -> None:
        """``at_rest``: whether the byte at an offset is on disk. ``bdp_bytes``: how many bytes
        under way keep the link busy."""
        self.size_bytes = size_bytes
        self.max_window_bytes = max_window_bytes
        self._at_rest = at_rest
        self._bdp_bytes = bdp_bytes
        self._cursors: list[_Cursor] = []
        self._current: _Cursor | None = None
        self._reads = 0
        self._jumps = 0
        """Reads that did not go on where one before them ended."""
        self._requested_bytes = self._fetched_bytes = 0
        """In whole blocks: what was read, and what was fetched for it or ahead of it."""

    def clip(self, offset: int, length: int) -> Span:
        """The bytes of a read that exist."""
        return Span(offset, max(offset, min(offset + length, self.size_bytes)))

    def on_read(
        self, offset: int, length: int, *, ready: bool, lost: bool = False, until: int = 0
    ) -> Plan:
        """Plan for a read; ``ready`` says that its bytes are at hand already (no stall), ``lost``
        that some of them are neither in memory nor on their way to it. ``until``: the end of the
        range that the program asked for, of which this is a part; 0 if nobody knows."""
        demand = self.clip(offset, length)
        if self.size_bytes <= SMALL_FILE_BYTES:
            self._reads += 1
            return Plan(demand, self._ahead_in_small(demand, ready=ready), SMALL_FILE_BYTES)
        if demand.length == 0:
            return Plan(demand, EMPTY)
        self._reads += 1
        self._requested_bytes += demand.length
        cursor = self._follow(demand, min(until, self.size_bytes))
        cursor.used = self._reads
        self._current = cursor
        if lost:
            self._forget_ahead(cursor, demand)
        self._resize(cursor, ready=ready)
        # a full link stays so with fewer ranges, and larger ones cost less
        share = 4 if cursor.enough else 8
        window = max(cursor.window, cursor.lone_stop - cursor.low)
        part_bytes = min(max(window // share, MIN_PART_BYTES), PART_BYTES)
        return Plan(demand, self._ahead(cursor, part_bytes), part_bytes)

    def on_accepted(self, ahead: Span) -> None:
        """Which part of the last plan's ``ahead`` was started; the next plan has the rest again."""
        cursor = self._current
        if cursor is None or ahead.length == 0:
            return
        self._fetched_bytes += cursor.not_fetched(ahead)
        if cursor.backward:
            cursor.fetched_low = min(cursor.fetched_low, ahead.start)
        else:
            cursor.fetched_high = max(cursor.fetched_high, ahead.stop)

    def _ahead_in_small(self, demand: Span, *, ready: bool) -> Span:
        """The whole file at the first read; of one that takes longer than a round trip only the
        head for a look at it, and the rest once a read goes beyond that."""
        if ready:
            return EMPTY
        look = demand.start == 0 and demand.stop < BLOCK_BYTES and self.size_bytes > WHOLE_BYTES
        return Span(0, LOOK_BYTES) if look and self._reads == 1 else Span(0, self.size_bytes)

    def _follow(self, span: Span, until: int) -> _Cursor:
        """The cursor this read belongs to, moved to where the read leaves it."""
        best: tuple[int, _Cursor] | None = None
        for cursor in self._cursors:
            distance = cursor.distance(span)
            if distance is not None and (best is None or distance < best[0]):
                best = (distance, cursor)
        if best is None or (until and best[0] > SKIPPED_BYTES):
            return self._new_cursor(span, until)
        distance, cursor = best
        if not cursor.low <= span.start < cursor.lone_stop:
            # a zip's header is no stretch of a stream either
            after_a_look = cursor.high - cursor.low < BLOCK_BYTES and not cursor.young
            cursor.lone_stop = until if after_a_look else 0
        self._fetched_bytes += cursor.not_fetched(span)
        if distance <= NEAR_BYTES:
            self._extend(cursor, span)
            cursor.run_bytes = span.length + (0 if distance else cursor.run_bytes)
        else:
            self._jumps += 1
            stretch = cursor.high - cursor.low
            window = min(cursor.window, stretch) if stretch > BLOCK_BYTES else 0
            if window < cursor.window:  # what it learned was learned with a larger one
                cursor.window, cursor.enough = window, False
            self._restart(cursor, span)
        return cursor

    def _new_cursor(self, span: Span, until: int) -> _Cursor:
        if len(self._cursors) >= MAX_CURSORS:
            self._cursors.remove(min(self._cursors, key=lambda cursor: cursor.used))
        cursor = _Cursor(span.start, span.stop, 0, span.start, span.stop, run_bytes=span.length)
        cursor.young = self._reads == 1 and span.start == 0
        cursor.lone_stop = 0 if cursor.young else until
        self._jumps += not cursor.young
        self._fetched_bytes += _in_blocks(*span)
        self._cursors.append(cursor)
        return cursor

    @staticmethod
    def _extend(cursor: _Cursor, span: Span) -> None:
        if span.stop > cursor.high:
            cursor.since_growth += span.stop - cursor.high
            cursor.high = span.stop
            cursor.backward = False
        elif span.start < cursor.low:
            cursor.since_growth += cursor.low - span.start
            cursor.low = span.start
            cursor.backward = True
        cursor.fetched_high = max(cursor.fetched_high, cursor.high)
        cursor.fetched_low = min(cursor.fetched_low, cursor.low)

    @staticmethod
    def _restart(cursor: _Cursor, span: Span) -> None:
        """After a seek. What is fetched beyond the new place stays known: nothing comes twice."""
        ahead_still = cursor.fetched_low <= span.start <= cursor.fetched_high
        cursor.fetched_high = max(cursor.fetched_high, span.stop) if ahead_still else span.stop
        cursor.fetched_low = span.start
        cursor.low, cursor.high = span
        cursor.run_bytes = span.length
        cursor.since_growth = 0
        cursor.backward = False

    def _forget_ahead(self, cursor: _Cursor, span: Span) -> None:
        """Bytes that were fetched ahead are gone when they are read, and so may be those beyond
        them: these are planned again, and what is still there is not fetched again. (Held for
        fetched, such a stretch came block by block: a round trip for each 128 KiB of it.) A read
        behind the front says nothing of what lies ahead: what is consumed goes first."""
        if cursor.backward and span.start == cursor.low:
            forgotten = Span(cursor.fetched_low, cursor.low)
            cursor.fetched_low = cursor.low
        elif not cursor.backward and span.stop == cursor.high:
            forgotten = Span(cursor.high, cursor.fetched_high)
            cursor.fetched_high = cursor.high
        else:
            return
        self._fetched_bytes -= _in_blocks(*forgotten) if forgotten.length else 0

    def _resize(self, cursor: _Cursor, *, ready: bool) -> None:
        stretch = cursor.high - cursor.low
        if cursor.young:
            cursor.young = not self._jumps and stretch < STREAM_BYTES
            most = LOOK_BYTES if stretch < BLOCK_BYTES else 2 * LOOK_BYTES
            window = max(most - cursor.high, 0) if cursor.young else FIRST_WINDOW_BYTES
            cursor.window = 0 if self._jumps else min(window, self.max_window_bytes)
        elif cursor.window == 0:
            if stretch > BLOCK_BYTES:
                cursor.window = min(FIRST_WINDOW_BYTES, self.max_window_bytes)
        elif not ready and cursor.since_growth >= max(cursor.window // GROWTH_SHARE, GROWTH_BYTES):
            cursor.enough = cursor.window > BDP_FACTOR * self._bdp_bytes()
            if not cursor.enough:
                cursor.window = min(cursor.window * 2, self.max_window_bytes)
            cursor.since_growth = 0

    def _ahead(self, cursor: _Cursor, part_bytes: int) -> Span:
        """What to fetch ahead: in steps of a part or half a small window, not with every read."""
        if cursor.lone_stop:  # one range proves no stream, however long it is: no byte beyond
            stop = min(cursor.lone_stop, cursor.high + self.max_window_bytes)
            rest = Span(max(cursor.fetched_high, cursor.high), stop)
            return rest if rest.length else EMPTY
        if not cursor.window:  # a random reader: this is on the way of each of its reads
            return EMPTY
        step = min(part_bytes, cursor.window // 2)
        if cursor.backward:
            target = max(cursor.low - cursor.window, 0)
            span = Span(target, min(cursor.fetched_low, cursor.low))
        else:
            target = min(cursor.high + cursor.window, self.size_bytes)
            if part_bytes == PART_BYTES and target < self.size_bytes:
                target = max(target - target % PART_BYTES, cursor.high)
            span = Span(max(cursor.fetched_high, cursor.high), target)
            if span.start < self.size_bytes and self._at_rest(span.start):
                return self._ahead_at_rest(cursor, span)
        at_the_edge = target in (0, self.size_bytes)
        if span.length == 0 or not (span.length >= step or at_the_edge):
            return EMPTY
        return self._within_room(cursor, span) if self._jumps else span

    def _within_room(self, cursor: _Cursor, span: Span) -> Span:
        """The near part of ``span`` that twice the asked bytes leave room for, those of the whole
        file or those of this run."""
        held = (
            cursor.low - cursor.fetched_low
            if cursor.backward
            else cursor.fetched_high - cursor.high
        )
        spare = 2 * self._requested_bytes - self._fetched_bytes
        if spare < min(span.length, LEAST_SPARE_BYTES):
            spare = 0
        room = max(spare, cursor.run_bytes - held)
        if room >= span.length:
            return span
        room -= room % (PART_BYTES if room >= PART_BYTES else BLOCK_BYTES)
        if room <= 0:
            return EMPTY
        return (
            Span(span.stop - room, span.stop)
            if cursor.backward
            else Span(span.start, span.start + room)
        )

    def _ahead_at_rest(self, cursor: _Cursor, span: Span) -> Span:
        """Instead of ``span``: what is at rest from its start on, in whole parts once the window
        spans one. This window follows from the stretch alone, without a stall: a part read in vain
        costs two milliseconds. Beyond what is at rest nothing changes."""
        window = min(max(2 * (cursor.high - cursor.low), FIRST_WINDOW_BYTES), DISK_WINDOW_BYTES)
        window = min(window, self.max_window_bytes)
        target = cursor.high + window
        if window >= DISK_PART_BYTES:
            target -= target % DISK_PART_BYTES
        target = min(target, self.size_bytes)
        step = min(window // 2, DISK_PART_BYTES // 2)
        if target - span.start < step and target < self.size_bytes:
            return EMPTY
        stop = span.start
        while stop < target and self._at_rest(stop):
            stop = min((stop // BLOCK_BYTES + 1) * BLOCK_BYTES, target)
        stop = stop if stop == target else max(stop, span.stop)
        return Span(span.start, stop) if stop > span.start else EMPTY
