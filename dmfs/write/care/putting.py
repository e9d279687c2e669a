"""A whole file into the drive, for a command: seen when all of it is there, and gone up then.

The bytes go under a name of their own first, which stays on this machine, and take the file's name
when they are safe: whoever is interrupted leaves what was there before.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from functools import partial

import trio

from dmfs.errors import DriveError, IsADirectory
from dmfs.model import Directory, File
from dmfs.names import aside_name, printable
from dmfs.spans import MIB
from dmfs.system.concurrency import in_thread
from dmfs.write.handle import Handle
from dmfs.write.live import LiveFile
from dmfs.write.records import State, new_draft_id
from dmfs.write.writing import Writing

READ_BYTES = MIB
DROP_S = 5.0
Progress = Callable[[int, int], Awaitable[None]]
"""Bytes done, and in all."""


async def put(
    writing: Writing, descriptor: int, directory: Directory, name: str, progress: Progress
) -> LiveFile:
    """Save what a descriptor can be read of as ``name``: a new file, or what the next version of
    the one that is there will be. It is safe on this machine then, and goes up next. DriveErrors;
    OSError of the descriptor."""
    await check(writing, directory, name)
    aside = aside_name(new_draft_id())
    _, handle = await writing.create(directory, aside, exclusive=True, truncate=False)
    try:
        await _copy(descriptor, handle, progress)
        await handle.confirm()
        await writing.rename(directory, aside, directory, name, replace=True)
    except BaseException:
        handle.close()
        await drop(writing, directory, aside)
        raise
    handle.close()
    return handle.live


async def check(writing: Writing, directory: Directory, name: str) -> None:
    """What would be refused at the end is refused at the beginning."""
    listing = await writing.tools.listings.get(directory)
    there = listing.entries.get(name)
    if there is None:
        await writing.rights.require_place(directory, name, is_file=True)
    elif isinstance(there, File):
        await writing.rights.require_write(there)
    else:
        raise IsADirectory(f"{printable(name)!r} is no file that can be written")


async def _copy(descriptor: int, handle: Handle, progress: Progress) -> None:
    total = (await in_thread(lambda: os.fstat(descriptor))).st_size
    at = 0
    while True:
        data = await in_thread(partial(os.pread, descriptor, READ_BYTES, at))
        if not data:
            return
        await handle.write(at, data)
        at += len(data)
        await progress(at, max(at, total))


async def drop(writing: Writing, directory: Directory, name: str) -> None:
    with trio.move_on_after(DROP_S, shield=True):
        try:
            await writing.unlink(directory, name)
        except DriveError:
            pass  # it stays local, and is seen in `dmfs uploads --local`


async def gone_up(writing: Writing, live: LiveFile) -> str:
    """Wait until the service has it. The name that it has there: another one if somebody else has
    changed the file meanwhile. DriveError if it is refused, or cannot go up now."""
    await writing.settler.sync(live)
    draft, place = live.draft, live.place
    if draft is None or place is None:
        raise DriveError("the file was deleted before it went up")
    if draft.state not in (State.CLEAN, State.CONFLICT):
        reason = f": {draft.reason}" if draft.reason else ""
        raise DriveError(
            f"{printable(place.name)!r} has not gone up{reason}", hint="dmfs uploads tells more"
        )
    return place.name
