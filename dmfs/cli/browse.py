"""``dmfs ls``, ``stat`` and ``cat``: the drive without a mount.

stdout is data: plain where a program reads it, a table with colour where a person does. Only the
latter imports rich.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import trio

from dmfs.blocks.reader import AnyReader
from dmfs.cli.control.runner import in_the_drive, with_drive
from dmfs.cli.exploring.kind_facts import kind_facts
from dmfs.cli.exploring.type_words import schema_words
from dmfs.cli.settings import Invocation
from dmfs.drive import Drive
from dmfs.errors import BadResponseError, DriveError, IsADirectory
from dmfs.grammar.moments import moment_ns, past_path
from dmfs.model import File, Folder, Hub, Node, Project, Root, Shortcut, live, mtime_ns_of
from dmfs.names import inode_number, printable
from dmfs.namespace.xattrs import PREFIX, attributes_of
from dmfs.system.clock import iso_time, wall_time_ns

_TYPES = {
    Root: "root",
    Hub: "hub",
    Project: "project",
    Folder: "folder",
    File: "file",
    Shortcut: "shortcut",
}
_READ_BYTES = 1024 * 1024
_LONE = re.compile("[\ud800-\udc7f\udd00-\udfff]")
"""Halves of characters that stand for no byte either: JSON may hold them, no encoding does."""


def ls_command(call: Invocation) -> int:
    """``dmfs ls PATH``."""
    given = call.options
    at_ns = None if given.at is None else moment_ns(given.at, wall_time_ns())
    call, path = in_the_drive(call, given.path)
    if at_ns is not None:
        path = past_path(at_ns, path)
    return with_drive(
        call,
        lambda drive: ls(drive, path, long=given.long, as_json=given.json, null=given.null),
    )


def stat_command(call: Invocation) -> int:
    """``dmfs stat PATH``."""
    call, path = in_the_drive(call, call.options.path)
    given = call.options
    return with_drive(
        call, lambda drive: stat(drive, path, as_json=given.json, schema=given.schema)
    )


def cat_command(call: Invocation) -> int:
    """``dmfs cat PATH``."""
    call, path = in_the_drive(call, call.options.path)
    given = call.options
    return with_drive(
        call, lambda drive: cat(drive, path, offset=given.offset, length=given.length)
    )


def type_of(node: Node) -> str:
    """``hub``, ``project``, ``folder``, ``file``, ``shortcut``; ``history`` of what is made of
    versions."""
    now = live(node)
    kinds = (text for kind, text in _TYPES.items() if isinstance(now, kind))
    return next(kinds, "history")


def facts(drive: Drive, name: str, node: Node) -> dict[str, Any]:
    """An entry as ``--json`` prints it: name, type, size in bytes, mtime in ISO 8601, ids."""
    entry: dict[str, Any] = {
        "name": name,
        "type": type_of(node),
        "inode": inode_number(node.identity),
    }
    if isinstance(node, File | Shortcut):
        entry["size"] = drive.size_of(node)
    mtime_ns = node.mtime_ns if isinstance(node, File | Shortcut) else mtime_ns_of(node)
    if mtime_ns:
        entry["mtime"] = iso_time(mtime_ns)
    entry |= {key.removeprefix(PREFIX): value for key, value in attributes_of(node).items()}
    return entry


async def ls(drive: Drive, path: str, *, long: bool, as_json: bool, null: bool) -> None:
    """List a directory (or name a file)."""
    node = await drive.resolve(path)
    name = path.rstrip("/").rpartition("/")[2]
    rows: list[tuple[str, Node]] = [(name, node)]
    lost = 0
    if not isinstance(node, File | Shortcut):
        listing = await drive.list(node)
        rows, lost = list(listing.entries.items()), listing.lost
    if as_json:
        _print_json([facts(drive, *row) for row in rows])
    elif null:
        _write("".join(f"{name}\0" for name, _ in rows))
    elif long or sys.stdout.isatty():
        _print_table(drive, rows, long=long)
    else:
        _write("".join(f"{name}\n" for name, _ in rows))
    if lost:
        raise BadResponseError(f"cannot list {path!r} to the end: {lost} entries cannot be told")


def _print_table(drive: Drive, rows: Iterable[tuple[str, Node]], *, long: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, show_header=long)
    if long:
        table.add_column("type")
        table.add_column("size", justify="right")
        table.add_column("modified (UTC)")
    table.add_column("name", overflow="fold")
    for name, node in rows:
        is_leaf = isinstance(node, File | Shortcut)
        label = Text(
            printable(name) + ("" if is_leaf else "/"), style="" if is_leaf else "bold blue"
        )
        if not long:
            table.add_row(label)
            continue
        size = f"{drive.size_of(node):,}" if isinstance(node, File | Shortcut) else "-"
        mtime_ns = node.mtime_ns if isinstance(node, File | Shortcut) else mtime_ns_of(node)
        mtime = iso_time(mtime_ns)[:16].replace("T", " ") if mtime_ns else "-"
        table.add_row(type_of(node), size, mtime, label)
    Console(soft_wrap=True).print(table)


async def stat(drive: Drive, path: str, *, as_json: bool, schema: bool) -> None:
    """Print all attributes of one entry, and what it is in words; with ``schema`` also what the
    Schema service says of its extension type."""
    node = await drive.resolve(path)
    entry = facts(drive, path.rstrip("/").rpartition("/")[2] or "/", node)
    entry |= await kind_facts(drive, node)
    if schema:
        extension_type = entry.get("extension_type", "")
        if not extension_type:
            raise DriveError(f"{path!r} has no extension type, so there is no schema of it")
        entry["schema"] = await drive.schema(str(extension_type))
        entry["schema_words"] = schema_words(entry["schema"])
    if as_json:
        _print_json(entry)
        return
    width = max(len(key) for key in entry)
    for key, value in entry.items():
        if isinstance(value, dict):
            text = json.dumps(value, indent=2, ensure_ascii=False)
        else:
            text = printable(str(value))
        _write(f"{key:<{width}}  {text}\n")


async def cat(drive: Drive, path: str, *, offset: int, length: int | None) -> None:
    """Write the bytes of a file to stdout, with a progress bar for a person who waits."""
    node = await drive.resolve(path)
    if not isinstance(node, File | Shortcut):
        raise IsADirectory(f"{path!r} is a directory")
    reader = await drive.open(node)
    stop = reader.size_bytes if length is None else min(reader.size_bytes, offset + length)
    with _progress_bar(node.name, max(0, stop - offset)) as advance:
        await _copy(reader, offset, stop, advance)
    reader.close()


async def _copy(
    reader: AnyReader, position: int, stop: int, advance: Callable[[int], object]
) -> None:
    while position < stop:
        data, _ = await reader.read(position, min(_READ_BYTES, stop - position))
        if not data:
            break
        # the reader of stdout may be stopped: Ctrl-C must not wait for it
        await trio.to_thread.run_sync(_write_all, data, abandon_on_cancel=True)
        position += len(data)
        advance(len(data))


def _progress_bar(name: str, total_bytes: int) -> AbstractContextManager[Callable[[int], object]]:
    """On stderr if that is a terminal and the bytes go elsewhere. Yields the function to call with
    the number of bytes of each step."""
    if sys.stdout.isatty() or not sys.stderr.isatty():
        return nullcontext(lambda _: None)
    return _rich_progress_bar(name, total_bytes)


@contextmanager
def _rich_progress_bar(name: str, total_bytes: int) -> Iterator[Callable[[int], object]]:
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn

    bar = Progress(
        "[progress.description]{task.description}",
        BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        console=Console(stderr=True), transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task(printable(name), total=total_bytes)
        yield lambda size_bytes: bar.advance(task, size_bytes)


def _write_all(data: Any) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def _print_json(value: Any) -> None:
    _write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _write(text: str) -> None:
    sys.stdout.write(_LONE.sub("?", text))
    sys.stdout.flush()
