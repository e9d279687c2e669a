"""``put``, ``rm``, ``mkdir`` and ``restore``: changes that a command makes, and waits for."""

from __future__ import annotations

import os
from collections import defaultdict

import trio

from dmfs.drive import Drive
from dmfs.errors import DriveError, ExistsError, NotFoundError, UsageError
from dmfs.jobs.job import Parameters, Tell, flag_of, text_of, texts_of
from dmfs.jobs.reports import Reports
from dmfs.jobs.writing.place import (
    can_change,
    directory_at,
    fresh,
    fresh_after,
    node_at,
    split,
    writing_of,
)
from dmfs.model import Directory, File, Folder, ItemId, Shortcut
from dmfs.names import printable
from dmfs.system.concurrency import bare_errors, in_thread
from dmfs.write.care.putting import gone_up
from dmfs.write.care.putting import put as put_file
from dmfs.write.care.restoring import restore as restore_file
from dmfs.write.live import LiveFile
from dmfs.write.overlay.view import FolderView
from dmfs.write.writing import Writing

LOOK_S = 0.1


async def put(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"source", "path", "name"}``: a file of this machine becomes a file of the drive, or the
    next version of one. ``name``: where ``path`` is a directory.

    Events: ``progress`` (``bytes_done``, ``bytes``, ``files_done``, ``files``), ``done``
    (``path``, ``version``, ``beside``: whether somebody else had changed the file meanwhile).
    """
    writing, reports = writing_of(drive), Reports(tell)
    source, path = text_of(parameters, "source"), text_of(parameters, "path")
    directory, name = await _target(drive, path, text_of(parameters, "name", ""))
    await fresh(drive, directory)
    try:
        descriptor = await in_thread(lambda: os.open(source, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        raise DriveError(f"the file to put cannot be read: {error.strerror}") from None

    async def copied(done: int, total: int) -> None:
        await reports.progress(bytes_done=done // 2, bytes=total, files_done=0, files=1)

    try:
        live = await put_file(writing, descriptor, directory, name, copied)
    except OSError as error:
        raise DriveError(f"the file to put cannot be read: {error.strerror}") from None
    finally:
        os.close(descriptor)
    final = await _with_progress(writing, live, reports)
    base = live.draft.base if live.draft is not None else None
    await fresh_after(drive, [directory])
    await reports.tell(
        "done", path=f"{drive.path_of(directory).rstrip('/')}/{final}",
        version=base.number if base is not None else 0, beside=final != name,
    )  # fmt: skip


async def _target(drive: Drive, path: str, name: str) -> tuple[Directory, str]:
    try:
        node = await node_at(drive, path)
    except NotFoundError:
        if path.endswith("/"):
            raise
    else:
        if not isinstance(node, File | Shortcut):
            if not name:
                raise UsageError(f"{path!r} is a directory", hint="name the file to be made")
            return can_change(node, path), name
    above, name = split(path)
    return await directory_at(drive, above), name


async def _with_progress(writing: Writing, live: LiveFile, reports: Reports) -> str:
    """``gone_up``, and what it does meanwhile."""

    async def tell() -> None:
        while True:
            await trio.sleep(LOOK_S)
            for each in writing.settler.orders.uploader.progress():
                if each.draft_id == live.draft_id:
                    done = (each.size_bytes + each.done_bytes) // 2
                    await reports.progress(
                        bytes_done=done, bytes=each.size_bytes, files_done=0, files=1,
                        reason=each.reason,
                    )  # fmt: skip

    with bare_errors():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tell)
            name = await gone_up(writing, live)
            nursery.cancel_scope.cancel()
    return name


async def rm(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"paths"}``: files, and folders that are empty. All are found before the first one goes.

    Events: ``failed``, ``done`` (``removed``: how many). An error at the end if any failed.
    """
    writing, reports = writing_of(drive), Reports(tell)
    found = []
    for path in texts_of(parameters, "paths"):
        above, name = split(path)
        node = await node_at(drive, path)
        found.append((path, await directory_at(drive, above), name, node))
    removed = 0
    waits: dict[FolderView, set[ItemId]] = defaultdict(set)
    for path, directory, name, node in found:
        try:
            if isinstance(node, Folder):
                await writing.folders.remove(directory, name)
            else:
                await writing.unlink(directory, name)
                if isinstance(node, File) and node.item_id:
                    waits[writing.overlay.view(directory)].add(node.item_id)
            removed += 1
        except DriveError as error:
            if len(found) == 1:
                raise
            await reports.failed(path, error)
    for view, items in waits.items():
        await writing.settler.delete_now(view, items)
    await fresh_after(drive, {each.identity: each for _, each, _, _ in found}.values())
    await _finish(reports, "removed", removed)


async def mkdir(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"paths", "parents"?}``; ``parents``: also those above, and none may be there.

    Events: ``failed``, ``done`` (``made``: how many). An error at the end if any failed.
    """
    writing, reports = writing_of(drive), Reports(tell)
    parents = flag_of(parameters, "parents")
    made = 0
    paths = texts_of(parameters, "paths")
    for path in paths:
        try:
            made += await _make(drive, writing, path, parents=parents)
        except DriveError as error:
            if len(paths) == 1:
                raise
            await reports.failed(path, error)
    await _finish(reports, "made", made)


async def _make(drive: Drive, writing: Writing, path: str, *, parents: bool) -> int:
    """How many folders were made."""
    above, name = split(path)
    made = 0
    try:
        directory = await directory_at(drive, above)
    except NotFoundError:
        if not parents:
            raise
        made = await _make(drive, writing, above, parents=True)
        directory = await directory_at(drive, above)
    try:
        await writing.folders.make(directory, name)
    except ExistsError:
        if not parents:
            raise
        await directory_at(drive, path)
        return made
    await fresh_after(drive, [directory])
    return made + 1


async def restore(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"path"}``: the file that was deleted there last. Events: ``done`` (``path``)."""
    writing = writing_of(drive)
    path = text_of(parameters, "path")
    above, name = split(path)
    await restore_file(writing, await directory_at(drive, above), name)
    await Reports(tell).tell("done", path=printable(path))


async def _finish(reports: Reports, what: str, count: int) -> None:
    first = reports.first
    if first is not None and not count:
        raise first
    await reports.tell("done", failed=reports.failures, **{what: count})
    if first is not None:
        raise DriveError(
            f"{reports.failures} of {reports.failures + count} failed", hint=first.hint
        )
