"""The bytes of a draft: a file that only grows, and the last mebibyte of it in memory.

A position is given out once and always means the same byte. So a call that hangs, is given up and
ends later does no harm: it writes what belongs there.

After a failed fdatasync the kernel calls pages clean that it has lost, and the next one succeeds.
So what was not durable before is then read back, compared with its checksums and written again; if
it is not what was written any more, the file is broken from there on and says so.
"""

from __future__ import annotations

import logging
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import trio

from dmfs.errors import DriveError, SpoolError
from dmfs.spans import MIB
from dmfs.write.records import DraftId
from dmfs.write.spool.disk import (
    Disk,
    Handle,
    OpenFiles,
    failures,
    sync_directory,
    write_all,
)
from dmfs.write.spool.room import RoomCount
from dmfs.write.spool.sums import UNIT_BYTES, Mark, More, Sums

log = logging.getLogger(__name__)

TAIL_BYTES = MIB
"""In memory for one draft when they begin to go to its file …"""
TAIL_MAX_BYTES = 4 * MIB
"""… and when the next write waits for that: a stream's writes and the disk's work overlap."""
UNSYNCED_BYTES = 256 * MIB
"""More than that is not left to the fdatasync of a close(2)."""
SMALL_BYTES = 4096
PEEK_BYTES = 256 * 1024
"""Read on the loop if the kernel has it in memory: 20 µs."""
_JOINED_BYTES = 64 * 1024


class Stretch(NamedTuple):
    """Bytes of the file to be read."""

    position: int
    length: int


class DataFile:
    """One data file of one draft; a draft that starts over gets the next one."""

    def __init__(self, path: Path, number: int, disk: Disk, room: RoomCount, files: OpenFiles,
                 sums: Sums) -> None:  # fmt: skip
        self.path, self.number, self.sums = path, number, sums
        self._disk, self._room = disk, room
        self.handle = Handle(path, files)
        self.durable = sums.end
        """Bytes that a crash does not take."""
        self._linked = sums.end > 0
        """Whether its name in the directories is durable."""
        self._made = sums.end > 0
        self._syncing = trio.Lock()
        self._spilling = trio.Lock()
        self._behind = False
        self._suspect = False
        """An fdatasync failed, and what was not durable before may be lost."""
        self.broken = ""
        """Words, where bytes are lost."""
        self._parts: list[bytes | bytearray] = []
        self._starts: list[int] = []
        self.end = sums.end
        """Of all that was given: in the file and in memory."""

    @property
    def spilled(self) -> int:
        """Bytes that are in the file."""
        return self.sums.end

    @property
    def tail_bytes(self) -> int:
        return self.end - self.spilled

    def append(self, data: bytes) -> int:
        """Take bytes, for which there is room, into memory; returns their position."""
        position = self.end
        last = self._parts[-1] if self._parts else None
        if len(data) >= SMALL_BYTES:
            self._add(data, position)
        elif isinstance(last, bytearray) and len(last) < _JOINED_BYTES:
            last += data
        else:
            self._add(bytearray(data), position)
        self.end += len(data)
        return position

    def _add(self, part: bytes | bytearray, position: int) -> None:
        self._parts.append(part)
        self._starts.append(position)

    def is_full(self, length: int) -> bool:
        """Whether what is in memory has to go to the file before ``length`` bytes come."""
        return bool(self.tail_bytes) and self.tail_bytes + length > TAIL_MAX_BYTES

    def spill_behind(self) -> None:
        """Begin to write what is in memory, if that is much. Never waits; an error is for whoever
        waits next."""
        if self.tail_bytes >= TAIL_BYTES and not self._spilling.locked() and not self._behind:
            self._behind = True
            trio.lowlevel.spawn_system_task(self._spill_behind)

    async def _spill_behind(self) -> None:
        try:
            await self.spill()
        except DriveError as error:
            log.info("%s", error.message)
        except Exception:  # a system task that fails ends the whole run
            log.exception("bug in a spill")
        finally:
            self._behind = False

    async def at_rest(self) -> None:
        """Wait for a spill that is under way: its bytes may not come after the file's end."""
        async with self._spilling:
            pass

    async def spill(self) -> None:
        """Write what is in memory. After an error it still is in memory."""
        async with self._spilling:
            await self._spill()

    async def _spill(self) -> None:
        if not self.tail_bytes:
            return
        # copies of those that may still grow: a call that hangs has them for ever
        parts = [bytes(part) for part in self._parts]
        start, stop, mark, made = self.spilled, self.end, self.sums.mark, self._made
        self.handle.unsynced = True

        def write() -> More:
            more = self.sums.more(mark, parts)
            with self.handle.used(create=not made) as fd:
                write_all(fd, parts, start)
            self._room.look(self.path)
            return more

        more = await self._disk.run(write, "save")
        self._made = self.handle.unsynced = True  # a sync that ended meanwhile knew nothing of it
        self.sums.add(more)
        self._room.spilled(stop - start)
        del self._parts[: len(parts)], self._starts[: len(parts)]
        if self.spilled - self.durable > UNSYNCED_BYTES:
            await self.sync()

    async def sync(self) -> None:
        """Make all that is in the file durable. SpoolError, NoRoomError: it is not."""
        async with self._syncing:  # a failure is reported once: it must not be to another call
            await self._sync()

    async def _sync(self) -> None:
        if self.broken:
            raise SpoolError(self.broken)
        mark, durable, linked, suspect = self.sums.mark, self.durable, self._linked, self._suspect
        if mark.end == durable and (linked or not mark.end):
            return

        def sync() -> bool:
            with self.handle.used() as fd:
                if suspect and not self._write_again(fd, durable, mark):
                    return False
                os.fdatasync(fd)
                self._must_be_there(fd)
            if not linked:
                sync_directory(self.path.parent)
                sync_directory(self.path.parent.parent)
            return True

        self._suspect = True  # until it is known to be well, also when this is given up
        if not await self._disk.run(sync, "save", syncs=True):
            self.broken = f"the disk of {self.path.parent} has lost bytes that were being saved"
            raise SpoolError(self.broken, hint="save under another name")
        self._suspect = False
        self.durable, self._linked = max(mark.end, self.durable), True
        self.handle.unsynced = self.spilled > mark.end

    def _must_be_there(self, fd: int) -> None:
        """FileNotFoundError where somebody removed the file under us: it would be lost with this
        process."""
        if not os.path.samestat(self.path.lstat(), os.fstat(fd)):
            raise FileNotFoundError(2, "another file is in its place", str(self.path))

    def _write_again(self, fd: int, durable: int, mark: Mark) -> bool:
        """Write once more what may have been lost; False where it is."""
        position = durable - durable % UNIT_BYTES
        while position < mark.end:
            length = min(MIB, mark.end - position)
            data = os.pread(fd, length, position)
            if len(data) < length or not self.sums.are_right(position, memoryview(data), mark):
                return False
            write_all(fd, [data], position)
            position += length
        return True

    # Reading

    def in_memory(self, position: int, length: int) -> tuple[int, list[bytes]]:
        """How many of these bytes are in the file, and the others, which are not."""
        first = max(position, self.spilled)
        if first >= position + length:
            return length, []
        found, stop = [], position + length
        for index in range(bisect_right(self._starts, first) - 1, len(self._parts)):
            start = self._starts[index]
            if start >= stop:
                break
            found.append(bytes(self._parts[index][max(first - start, 0) : stop - start]))
        return first - position, found

    async def descriptor(self) -> int:
        """A descriptor of the file for reading alone; the caller closes it."""

        def open_again() -> int:
            with self.handle.used() as fd:
                return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)

        return await self._disk.run(open_again, "read what was saved", undo=os.close)

    async def read(self, stretches: list[Stretch], mark: Mark, *, strictly: bool) -> list[bytes]:
        """Bytes that are in the file. SpoolError for damaged ones: those of whole units are
        compared with their checksums, with ``strictly`` all (``mark`` is then where the file ended
        when they were confirmed)."""
        if not stretches:
            return []
        if len(stretches) == 1 and not strictly and stretches[0].length <= PEEK_BYTES:
            data = self.handle.peek(stretches[0].length, stretches[0].position)
            if data is not None:  # a thread would cost more than all of it
                return [self._checked(data, stretches[0].position, mark)]

        def read() -> list[bytes]:
            with self.handle.used() as fd:
                if strictly:
                    return self._read_strictly(fd, stretches, mark)
                return [self._read_one(fd, each, mark) for each in stretches]

        return await self._disk.run(read, "read what was saved")

    def _read_one(self, fd: int, stretch: Stretch, mark: Mark) -> bytes:
        data = os.pread(fd, stretch.length, stretch.position)
        if len(data) < stretch.length:
            raise self._damaged()
        return self._checked(data, stretch.position, mark)

    def _checked(self, data: bytes, position: int, mark: Mark) -> bytes:
        """``data``, if its whole units are right."""
        ahead = -position % UNIT_BYTES
        whole = (len(data) - ahead) // UNIT_BYTES * UNIT_BYTES
        if whole > 0:
            view = memoryview(data)[ahead : ahead + whole]
            if not self.sums.are_right(position + ahead, view, mark):
                raise self._damaged()
        return data

    def _read_strictly(self, fd: int, stretches: list[Stretch], mark: Mark) -> list[bytes]:
        found, last, unit = [], -1, b""
        for position, length in stretches:
            start = position - position % UNIT_BYTES
            stop = min(-(-(position + length) // UNIT_BYTES) * UNIT_BYTES, mark.end)
            if stop - start > UNIT_BYTES or start != last:
                unit, last = os.pread(fd, stop - start, start), start
                if len(unit) < stop - start:
                    raise self._damaged()
                if not self.sums.are_right(start, memoryview(unit), mark):
                    raise self._damaged()
                if stop - start > UNIT_BYTES:
                    last = -1
            found.append(unit[position - start : position - start + length])
        return found

    def _damaged(self) -> SpoolError:
        return SpoolError(
            f"{self.path} is damaged: its bytes are not those that were saved",
            hint="the disk may be failing; look at dmesg",
        )

    def delete(self) -> None:
        """Remove the file, in a thread; what is still open of it can be read. What cannot be
        removed now is removed at the next start."""
        self.handle.close()
        with failures(self.path.parent, "remove what is not needed any more"):
            self.path.unlink(missing_ok=True)


def close_all(files: Iterable[DataFile]) -> None:
    """In a thread: on some file systems close(2) waits for the disk."""
    for file in files:
        file.handle.close()


@dataclass(frozen=True)
class Services:
    """What all contents of a spool share."""

    directory: Path
    disk: Disk
    room: RoomCount
    files: OpenFiles
    commit: Callable[..., Any]
    """``await commit(changes, pieces)``: durable, or an error."""

    def new_file(self, draft_id: DraftId, number: int, sums: Sums | None = None) -> DataFile:
        path = self.directory / draft_id / file_name(number)
        sums = Sums(f"{draft_id} {number}") if sums is None else sums
        return DataFile(path, number, self.disk, self.room, self.files, sums)


def file_name(number: int) -> str:
    """``data``, ``data.2`` …"""
    return "data" if number == 1 else f"data.{number}"
