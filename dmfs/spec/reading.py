"""Many reads at once, on the loop."""

from __future__ import annotations

import io
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import BinaryIO, NamedTuple

import trio

from dmfs.blocks.reader import AnyReader
from dmfs.drive import Drive
from dmfs.errors import DriveError
from dmfs.model import File, Leaf, OldVersion
from dmfs.spec.oserrors import as_oserror
from dmfs.spec.room import check_room
from dmfs.system.concurrency import gather, in_thread

FILES_AT_ONCE = 16
RANGES_AT_ONCE = 8
"""Of one file."""
READ_BYTES = 4 * 1024 * 1024

Source = tuple[Leaf, str]
"""A file and its path, for messages."""
OnBytes = Callable[[int], object]


class Range(NamedTuple):
    """Bytes of a file; as in slices, negative positions count from its end, and None is its
    end."""

    start: int | None
    stop: int | None

    def within(self, size_bytes: int) -> tuple[int, int]:
        start, stop, _ = slice(self.start, self.stop).indices(size_bytes)
        return start, max(start, stop)


async def open_to_read(drive: Drive, leaf: Leaf) -> AnyReader:
    """A version, or what was written under its name. DriveErrors."""
    writing = drive.writing
    if writing is None or not isinstance(leaf, File) or isinstance(leaf, OldVersion):
        return await drive.open(leaf)
    return await writing.open(leaf, None, writes=False, truncate=False)


async def read_range(reader: AnyReader, start: int, stop: int) -> bytes:
    """All of it, in steps of READ_BYTES. DriveErrors."""
    if stop - start <= READ_BYTES:
        data, _ = await reader.read(start, stop - start, stop)
        if len(data) == stop - start:
            return bytes(data)
    # bytes that are filled in place: a bytearray would be copied at the end, 1 GiB in 0.4 s
    whole = io.BytesIO(bytes(stop - start))
    with whole.getbuffer() as target:
        done = await read_into(reader, start, target)
    whole.truncate(done)
    return whole.getvalue()


async def read_into(reader: AnyReader, start: int, target: memoryview) -> int:
    """Fill ``target`` from there on; the number of bytes, fewer only at the end of the file."""
    done = 0
    while done < len(target):
        length = min(READ_BYTES, len(target) - done)
        data, _ = await reader.read(start + done, length, start + len(target))
        if not len(data):
            break
        target[done : done + len(data)] = data
        done += len(data)
    return done


async def cat_ranges(
    drive: Drive, wanted: Sequence[tuple[Source | OSError, Range]]
) -> list[bytes | OSError]:
    """The bytes of each range, or its error, in the order of ``wanted``. Each file is opened once;
    its ranges are read in the order of the file, as far as they begin at once."""
    spans = (
        span.within(drive.size_of(source[0]))
        for source, span in wanted
        if not isinstance(source, OSError)
    )
    needed = sum(stop - start for start, stop in spans)
    await check_room(needed, f"{len(wanted)} ranges")
    results: list[bytes | OSError] = [b""] * len(wanted)
    by_file: dict[str, list[int]] = defaultdict(list)
    sources: dict[str, Source] = {}
    for index, (source, _) in enumerate(wanted):
        if isinstance(source, OSError):
            results[index] = source
        else:
            by_file[source[0].identity].append(index)
            sources[source[0].identity] = source
    files = trio.CapacityLimiter(FILES_AT_ONCE)

    async def one_file(identity: str, indices: list[int]) -> None:
        leaf, path = sources[identity]
        async with files:
            try:
                reader = await open_to_read(drive, leaf)
            except DriveError as error:
                for index in indices:
                    results[index] = as_oserror(error, path)
                return
            try:
                await _ranges(reader, path, [(i, wanted[i][1]) for i in indices], results)
            finally:
                reader.close()

    await gather([partial(one_file, *each) for each in by_file.items()])
    return results


async def _ranges(
    reader: AnyReader,
    path: str,
    ranges: Sequence[tuple[int, Range]],
    results: list[bytes | OSError],
) -> None:
    spans = sorted((span.within(reader.size_bytes), index) for index, span in ranges)
    places = trio.CapacityLimiter(RANGES_AT_ONCE)

    async def one(start: int, stop: int, index: int) -> None:
        try:
            results[index] = await read_range(reader, start, stop)
        except DriveError as error:
            results[index] = as_oserror(error, path)
        finally:
            places.release_on_behalf_of(index)

    async with trio.open_nursery() as nursery:
        for (start, stop), index in spans:
            await places.acquire_on_behalf_of(index)
            nursery.start_soon(one, start, stop, index)


async def get_files(
    drive: Drive, wanted: Mapping[str, Source], on_bytes: OnBytes, on_file: Callable[[], object]
) -> dict[str, OSError]:
    """Copy files to local paths; the errors, by local path. A file is there whole or not at all.
    ``on_bytes`` and ``on_file`` hear of each step on the loop."""
    files = trio.CapacityLimiter(FILES_AT_ONCE)
    failed: dict[str, OSError] = {}

    async def one(target: str, source: Source) -> None:
        leaf, path = source
        async with files:
            try:
                await get_file(drive, leaf, target, on_bytes)
            except DriveError as error:
                failed[target] = as_oserror(error, path)
            except OSError as error:
                failed[target] = error
        on_file()

    await gather([partial(one, *each) for each in wanted.items()])
    return failed


async def get_file(drive: Drive, leaf: Leaf, target: str, on_bytes: OnBytes) -> None:
    """Copy a file to a local path. DriveErrors of the drive, OSErrors of this machine."""
    reader = await open_to_read(drive, leaf)
    partial_path = Path(f"{target}.{os.getpid()}.part")
    try:
        file = await in_thread(lambda: partial_path.open("wb"))
        try:
            await _copy(reader, file, on_bytes)
            await in_thread(file.close)
            await in_thread(partial(partial_path.replace, target))
        except BaseException:
            with trio.CancelScope(shield=True):
                await in_thread(file.close)
                await in_thread(partial(partial_path.unlink, missing_ok=True))
            raise
    finally:
        reader.close()


async def _copy(reader: AnyReader, file: BinaryIO, on_bytes: OnBytes) -> None:
    position = 0
    while position < reader.size_bytes:
        data, _ = await reader.read(position, READ_BYTES)
        if not len(data):
            break
        await in_thread(partial(file.write, data))
        position += len(data)
        on_bytes(len(data))
