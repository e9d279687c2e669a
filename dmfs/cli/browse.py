"""``dmfs ls``, ``stat`` and ``cat``: the drive without a mount. Floor 4.

stdout is data: plain where a program reads it, a table with colour where a person does.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import Any

import trio
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TransferSpeedColumn
from rich.table import Table
from rich.text import Text

from dmfs.drive import Drive
from dmfs.errors import DriveError, IsADirectory
from dmfs.model import File, Folder, Hub, Node, Project, Root, Shortcut
from dmfs.names import inode_number, printable
from dmfs.namespace.xattrs import PREFIX, attributes_of
from dmfs.system.clock import iso_time

_KINDS = {
    Root: "root",
    Hub: "hub",
    Project: "project",
    Folder: "folder",
    File: "file",
    Shortcut: "shortcut",
}
_READ_BYTES = 1024 * 1024


def facts(drive: Drive, name: str, node: Node) -> dict[str, Any]:
    """What ``--json`` tells of an entry: name, type, size in bytes, mtime in ISO 8601, ids."""
    told: dict[str, Any] = {
        "name": name,
        "type": _KINDS[type(node)],
        "inode": inode_number(node.identity),
    }
    if isinstance(node, File | Shortcut):
        told["size"] = drive.size_of(node)
    if isinstance(node, File | Shortcut | Folder) and node.mtime_ns:
        told["mtime"] = iso_time(node.mtime_ns)
    told |= {key.removeprefix(PREFIX): value for key, value in attributes_of(node).items()}
    return told


async def ls(drive: Drive, path: str, *, long: bool, as_json: bool, null: bool) -> None:
    """List a directory (or name a file)."""
    node = await drive.resolve(path)
    name = path.rstrip("/").rpartition("/")[2]
    rows: list[tuple[str, Node]] = [(name, node)]
    if not isinstance(node, File | Shortcut):
        rows = list((await drive.list(node)).entries.items())
    if as_json:
        _print_json([facts(drive, *row) for row in rows])
    elif null:
        _write("".join(f"{name}\0" for name, _ in rows))
    elif long or sys.stdout.isatty():
        _print_table(drive, rows, long=long)
    else:
        _write("".join(f"{name}\n" for name, _ in rows))


def _print_table(drive: Drive, rows: Iterable[tuple[str, Node]], *, long: bool) -> None:
    table = Table(box=None, pad_edge=False, show_header=long)
    if long:
        table.add_column("type")
        table.add_column("size", justify="right")
        table.add_column("modified (UTC)")
    table.add_column("name", overflow="fold")
    for name, node in rows:
        leaf = isinstance(node, File | Shortcut)
        shown = Text(printable(name) + ("" if leaf else "/"), style="" if leaf else "bold blue")
        if not long:
            table.add_row(shown)
            continue
        size = f"{drive.size_of(node):,}" if isinstance(node, File | Shortcut) else "-"
        mtime_ns = node.mtime_ns if isinstance(node, File | Shortcut | Folder) else 0
        when = iso_time(mtime_ns)[:16].replace("T", " ") if mtime_ns else "-"
        table.add_row(_KINDS[type(node)], size, when, shown)
    Console(soft_wrap=True).print(table)


async def stat(drive: Drive, path: str, *, as_json: bool, schema: bool) -> None:
    """All that is known of one entry; with ``schema`` also what the Schema service says of its
    extension type."""
    node = await drive.resolve(path)
    told = facts(drive, path.rstrip("/").rpartition("/")[2] or "/", node)
    if schema:
        extension_type = told.get("extension_type", "")
        if not extension_type:
            raise DriveError(f"{path!r} has no extension type, so there is no schema of it")
        told["schema"] = await drive.schema(str(extension_type))
    if as_json:
        _print_json(told)
        return
    width = max(len(key) for key in told)
    for key, value in told.items():
        text = (
            json.dumps(value, indent=2, ensure_ascii=False)
            if isinstance(value, dict)
            else str(value)
        )
        _write(f"{key:<{width}}  {text if isinstance(value, dict) else printable(text)}\n")


async def cat(drive: Drive, path: str, *, offset: int, length: int | None) -> None:
    """The bytes of a file to stdout, with a progress bar where a person waits."""
    node = await drive.resolve(path)
    if not isinstance(node, File | Shortcut):
        raise IsADirectory(f"{path!r} is a directory")
    reader = await drive.open(node)
    stop = reader.size_bytes if length is None else min(reader.size_bytes, offset + length)
    total = max(0, stop - offset)
    bar = Progress(
        "[progress.description]{task.description}",
        BarColumn(), DownloadColumn(), TransferSpeedColumn(),
        console=Console(stderr=True), transient=True,
        disable=sys.stdout.isatty() or not sys.stderr.isatty(),
    )  # fmt: skip
    with bar:
        task = bar.add_task(printable(node.name), total=total)
        position = offset
        while position < stop:
            data, _ = await reader.read(position, min(_READ_BYTES, stop - position))
            if not data:
                break
            # whoever reads stdout may have stopped to: Ctrl-C must not wait for that
            await trio.to_thread.run_sync(_write_all, data, abandon_on_cancel=True)
            position += len(data)
            bar.advance(task, len(data))
    reader.close()


def _write_all(data: Any) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def _print_json(value: Any) -> None:
    _write(json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def _write(text: str) -> None:
    sys.stdout.buffer.write(text.encode("utf-8", "replace"))
    sys.stdout.buffer.flush()
