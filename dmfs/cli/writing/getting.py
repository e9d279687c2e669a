"""``dmfs uploads get``: the saved bytes of a file that waits, with a mount or without one."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import BinaryIO

import trio

from dmfs.blocks.reader import AnyReader
from dmfs.cli import DONE
from dmfs.cli.control.runner import in_the_drive, with_drive
from dmfs.cli.settings import Invocation, start
from dmfs.cli.writing.owner import journal_of
from dmfs.cli.writing.processes import of_processes
from dmfs.drive import Drive
from dmfs.errors import DriveError, NotFoundError, SetupError, SpoolError
from dmfs.names import printable
from dmfs.spans import MIB
from dmfs.system.concurrency import bare_errors, in_thread
from dmfs.write.care.journalled import Journalled
from dmfs.write.care.rows import FILE, Row, find, is_exact
from dmfs.write.records import Draft, DraftId
from dmfs.write.spool.snapshot import Snapshot

CHUNK_BYTES = 8 * MIB
ReadBase = Callable[[int, int], Awaitable[bytes]]


def get(call: Invocation, given: str, output: str) -> int:
    """The bytes that were confirmed last to ``output``; all of them are compared with their
    checksums. Asks the service only for what was not written here."""
    call, path = in_the_drive(call, given)
    start(call)
    found, rows = _journal_with(call, path)
    if found is None or not rows:
        raise NotFoundError(
            f"nothing waits under {printable(path)!r}", hint="dmfs uploads --local lists what does"
        )
    draft = found.drafts[DraftId(rows[0].draft_id)]
    snapshot = found.snapshot(draft.id)
    with _target(output) as file:
        try:
            if snapshot.needs_base:
                _with_base(call, draft, snapshot, file)
            else:
                with bare_errors():
                    trio.run(_copy, snapshot, _no_base, file)
            file.flush()
        except BaseException:
            if output != "-":
                Path(output).unlink()
            raise
    return DONE


def _journal_with(call: Invocation, path: str) -> tuple[Journalled | None, list[Row]]:
    """That of the mount, or of a process that has no mount: the one that was saved last."""
    journals = [each.journal for each in of_processes(call)]
    try:
        journals.insert(0, journal_of(call))
    except SpoolError:  # it hides nothing of processes
        if not any(each is not None and _files(each, path) for each in journals):
            raise
    having = [
        (each, rows) for each in journals if each is not None and (rows := _files(each, path))
    ]
    exact = [each for each in having if is_exact(each[1])]
    return max(exact or having, key=lambda each: each[1][0].since_s, default=(None, []))


def _files(journal: Journalled, path: str) -> list[Row]:
    return [row for row in find(journal.report.rows, path) if row.what == FILE]


def _target(output: str) -> BinaryIO:
    if output == "-":
        return os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    try:
        return Path(output).open("xb")
    except FileExistsError:
        raise SetupError(f"{output} is there already", hint="name another file") from None
    except OSError as error:
        raise SetupError(f"{output} cannot be written: {error.strerror}") from None


def _with_base(call: Invocation, draft: Draft, snapshot: Snapshot, file: BinaryIO) -> None:
    base = draft.beneath or draft.base
    if base is None:
        raise SpoolError(f"nobody knows what lies beneath {draft.place.name!r}")
    version = base.as_file(draft.place)

    async def work(drive: Drive) -> None:
        reader = await drive.open(version)
        try:
            await _copy(snapshot, lambda at, length: _read(reader, at, length), file)
        finally:
            reader.close()

    with_drive(call, work)


async def _read(reader: AnyReader, at: int, length: int) -> bytes:
    found = bytearray()
    while len(found) < length:
        data, _ = await reader.read(at + len(found), length - len(found))
        if not data:
            break
        found += data
    return bytes(found)


async def _no_base(_at: int, _length: int) -> bytes:
    raise DriveError("bytes of the version beneath are needed")


async def _copy(snapshot: Snapshot, read_base: ReadBase, file: BinaryIO) -> None:
    for at in range(0, snapshot.size_bytes, CHUNK_BYTES):
        data = await snapshot.read(at, min(at + CHUNK_BYTES, snapshot.size_bytes), read_base)
        await in_thread(partial(file.write, data))
