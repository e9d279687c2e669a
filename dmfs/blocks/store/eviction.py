"""Room in the block store: least recently used objects go, never one that is open or held.

They go in batches, each a transaction of some milliseconds, and a little ahead of need. A step
looks at as many objects as it takes away, however many there are; files are deleted outside of the
transaction. (When each step sorted all of 200 000 objects, a stream of 184 MiB held the index for
half a minute.)

All methods block.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dmfs.blocks.store.index import Index, OldObject
from dmfs.spans import KIB, MIB
from dmfs.system.clock import wall_time_s

BATCH_OBJECTS = 64
"""Evicted in one transaction, each with an open descriptor: 5 ms."""
AHEAD_BYTES = 64 * MIB
AHEAD_SHARE = 1 / 64
"""A batch goes on below what is needed, by so much of the limit at most: the next writes find room
without a step of their own."""
INDEX_BYTES = 64 * KIB
"""Of the disk's free bytes, for the log of the index: a write that fits is one whose rows fit."""
MANY_IN_USE = 1000
PAUSE_S = 1.0
"""When so many objects were in use and none could go, the next look is not with the next write."""


class Evicted(NamedTuple):
    """Of objects that are to go: those that went, those that stay because somebody reads them, and
    those that stay because they are pinned; and the bytes at rest of each kind."""

    evicted: int = 0
    evicted_bytes: int = 0
    open: int = 0
    open_bytes: int = 0
    pinned: int = 0
    pinned_bytes: int = 0

    def plus(self, more: Evicted) -> Evicted:
        """The sum of both."""
        return Evicted(*map(sum, zip(self, more, strict=True)))


class Evictor:
    """The limit of the cache and the share of the disk that stays free; the data files' places."""

    def __init__(
        self, directory: Path, index: Index, *, limit_bytes: int, free_percent: int
    ) -> None:
        self._directory = directory
        self._index = index
        self.limit_bytes = limit_bytes
        self._free_percent = free_percent
        self._deleted: list[int] = []
        """Doomed objects whose files are gone."""
        self._paused_at = 0.0
        self.evicted_objects = self.evicted_bytes = 0

    @property
    def ahead_bytes(self) -> int:
        """So much goes at once beyond what is needed, at most."""
        return int(min(AHEAD_BYTES, self.limit_bytes * AHEAD_SHARE))

    def path(self, row: int) -> Path:
        """Where the bytes of an object are."""
        return self._directory / "data" / f"{row % 256:02x}" / str(row)

    def remove(self, row: int) -> None:
        """Forget an object and its bytes, inside a transaction."""
        self._index.remove_objects([row])
        self.path(row).unlink(missing_ok=True)

    def fits(self, need_bytes: int) -> bool:
        """Whether there is room for so many bytes."""
        return not need_bytes or self._shortage(need_bytes) <= 0

    def make_room(self, need_bytes: int, attached: Collection[int]) -> bool:
        """Evict until ``need_bytes`` fit; whether they do. ``attached`` are the rows that this
        process reads. Not inside a transaction: it makes some of its own."""
        while not self.fits(need_bytes):
            paused = abs(wall_time_s() - self._paused_at) < PAUSE_S
            if need_bytes > self.limit_bytes or paused:
                return False
            if not self._evict(need_bytes, attached):
                return False
        return True

    def bury(self) -> None:
        """Delete the files of what was evicted by a process that ended before it did so."""
        doomed = self._index.doomed()
        if doomed:
            self.delete(doomed)
            with self._index.transaction():
                self._index.buried(doomed)
            self._deleted.clear()

    def _shortage(self, need_bytes: int) -> int:
        """Bytes that must go before ``need_bytes`` may come."""
        over = self._index.total_bytes() + need_bytes - self.limit_bytes
        return max(over, need_bytes + INDEX_BYTES - self.disk_bytes())

    def disk_bytes(self) -> int:
        """What the disk would take beside what stays free of it; below 0 if it is too full."""
        disk = os.statvfs(self._directory)
        left_free = disk.f_blocks * disk.f_frsize * self._free_percent // 100
        return disk.f_bavail * disk.f_frsize - left_free

    def _evict(self, need_bytes: int, attached: Collection[int]) -> bool:
        """One batch; whether anything went."""
        descriptors: list[int] = []
        try:
            with self._index.transaction():
                deleted, self._deleted = self._deleted, []
                self._index.buried(deleted)
                victims, in_use = self._victims(self._shortage(need_bytes), attached, descriptors)
                rows = [victim.id for victim in victims]
                self._index.remove_objects(rows)
                self._index.doom(rows)
                # what stays is used now: the next step does not come across it again
                now = wall_time_s()
                used = [(old.id, now + n * 1e-6) for n, old in enumerate(in_use)]
                self._index.touch(used if victims else ())
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        self.delete(rows)
        self.evicted_objects += len(victims)
        self.evicted_bytes += sum(victim.bytes_at_rest for victim in victims)
        if not victims and len(in_use) >= MANY_IN_USE:
            self._paused_at = now
        return bool(victims)

    def _victims(
        self, least_bytes: int, attached: Collection[int], descriptors: list[int]
    ) -> tuple[list[OldObject], list[OldObject]]:
        """A batch that goes, and what was passed over because it is in use or held.
        ``descriptors`` keep others from opening what goes, until it is gone."""
        most_bytes = least_bytes + self.ahead_bytes
        victims: list[OldObject] = []
        in_use: list[OldObject] = []
        found_bytes = 0
        for old in self._by_use():
            looked_at = len(victims) + len(in_use)
            if found_bytes >= least_bytes:  # the rest of the batch is ahead of need
                if looked_at >= BATCH_OBJECTS or found_bytes + old.bytes_at_rest > most_bytes:
                    break
            elif len(victims) >= BATCH_OBJECTS:
                break
            try:
                free = not old.held and old.id not in attached and self._lock(old.id, descriptors)
            except OSError as error:
                if victims and error.errno in (errno.EMFILE, errno.ENFILE):
                    break  # a smaller batch
                raise
            (victims if free else in_use).append(old)
            found_bytes += old.bytes_at_rest if free else 0
        return victims, in_use

    def _by_use(self) -> Iterator[OldObject]:
        page = self._index.oldest(BATCH_OBJECTS)
        while page:
            yield from page
            page = self._index.oldest(BATCH_OBJECTS, page[-1])

    def _lock(self, row: int, descriptors: list[int]) -> bool:
        """Whether nobody reads an object, and nobody begins to until ``descriptors`` are closed."""
        try:
            descriptor = os.open(self.path(row), os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # somebody does
            os.close(descriptor)
            return False
        descriptors.append(descriptor)
        return True

    def evict(self, storage_ids: Sequence[str], attached: Collection[int]) -> Evicted:
        """Let go of these, a batch at most: what nobody reads and no pin holds."""
        descriptors: list[int] = []
        victims: list[int] = []
        counts: Counter[str] = Counter()
        try:
            with self._index.transaction():
                held = self._index.held_of(storage_ids)
                for storage_id, (row, size_bytes) in self._index.rows_of(storage_ids).items():
                    if storage_id in held:
                        end = "pinned"
                    elif row in attached or not self._lock(row, descriptors):
                        end = "open"
                    else:
                        end = "evicted"
                        victims.append(row)
                    counts[end] += 1
                    counts[f"{end}_bytes"] += size_bytes
                self._index.remove_objects(victims)
                self._index.doom(victims)
        finally:
            for descriptor in descriptors:
                os.close(descriptor)
        self.delete(victims)
        self.evicted_objects += counts["evicted"]
        self.evicted_bytes += counts["evicted_bytes"]
        return Evicted(**counts)

    def free_bytes(self) -> int:
        """Room that needs no eviction; below 0 where the disk, or the cache, is too full."""
        return -self._shortage(0)

    def delete(self, rows: Iterable[int]) -> None:
        """Files of doomed objects. What cannot be deleted now is by the next start."""
        for row in rows:
            with suppress(OSError):
                self.path(row).unlink(missing_ok=True)
                self._deleted.append(row)
