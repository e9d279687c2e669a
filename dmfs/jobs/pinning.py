"""``pin``, ``unpin``, ``pins``: what is to be whole, newest and offline.

Intentions are recorded at once and outlive whoever asked; the keeper of the mounts does the work,
or the one of this drive where there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import trio

from dmfs.drive import Drive
from dmfs.errors import DriveError, NoRoomError, NotFoundError, SetupError, UsageError
from dmfs.exports.records import ExportedFile
from dmfs.jobs.job import Parameters, Tell, text_of, texts_of
from dmfs.model import (
    Directory,
    File,
    Folder,
    Histories,
    Hub,
    LiveDirectory,
    Node,
    Past,
    Project,
    Root,
    Shortcut,
    StorageId,
    as_listed,
)
from dmfs.names import printable
from dmfs.pins.pins import Pins
from dmfs.pins.records import Kind, Pin
from dmfs.system.concurrency import gather

LOOK_S = 0.3
"""Between two looks at how far the keeper is."""
LISTINGS_AT_ONCE = 8
SETTLED = ("complete", "no room", "failed", "gone", "waiting")
"""States in which a pin may stay: whoever asked need not wait for the end of that."""


async def pin(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"paths": […], "export"}``: tells the estimate, records, then follows until all is whole.
    Cancelled, the pins stay. ``export``: a format for the designs below, '' for none."""
    pins = _pins(drive)
    await pins.reload()
    export = text_of(parameters, "export", "")
    if export and drive.parts.exports is not None:
        await drive.parts.exports.tools.require_orders()
    wanted = [
        _with_export(await _pin(drive, path), export) for path in texts_of(parameters, "paths")
    ]
    needed = await _needed(drive, wanted)
    room_bytes = await _left_bytes(drive, pins)
    held = {each for file in pins.contents.files.values() for each in file.storage_ids}
    new_bytes = sum(size for storage_id, size in needed.items() if storage_id not in held)
    await tell({
        "event": "estimate", "files": len(needed), "bytes": sum(needed.values()),
        "new_bytes": new_bytes, "room_bytes": room_bytes,
    })  # fmt: skip
    if new_bytes > room_bytes:
        raise NoRoomError(
            f"cannot pin that: it needs {new_bytes} bytes, and {room_bytes} are left for pins",
            hint="raise cache_size, free space on the disk of the cache, or unpin something",
        )
    await pins.add(wanted)
    keys = {(each.project_id, each.node_id) for each in wanted}
    if pins.keeper is not None:
        pins.keeper.start()
    await _follow(pins, keys, tell)


async def unpin(drive: Drive, parameters: Parameters, tell: Tell) -> None:
    """``{"paths": […]}``: takes back what was pinned under these paths, by what is there now or by
    the path of then."""
    pins = _pins(drive)
    await pins.reload()
    found: list[Pin] = []
    for path in texts_of(parameters, "paths"):
        found += await _pinned_at(drive, pins, path)
    await pins.remove(found)
    if pins.keeper is not None:
        pins.keeper.start()  # what they held is let go of
    await tell({"event": "done", "unpinned": [each.label for each in found]})


async def pins(drive: Drive, parameters: Parameters, tell: Tell) -> None:  # noqa: ARG001
    """``{}``: every pin of this sign-in, and how far it is."""
    found = _pins(drive)
    await found.reload()
    for each in found.contents.pins:
        await tell({"event": "pin", **as_json(each)})
    await tell({"event": "done", "pins": len(found.contents.pins)})


def as_json(each: Pin) -> dict[str, Any]:
    """A pin as programs see it."""
    progress = each.progress
    return {
        "path": each.label, "kind": each.kind, "since_s": each.since_s, "state": progress.state,
        "files": progress.files, "files_done": progress.files_done, "bytes": progress.bytes,
        "bytes_done": progress.bytes_done, "error": progress.error, "export": each.export,
    }  # fmt: skip


def _with_export(each: Pin, file_type: str) -> Pin:
    """UsageError for a file that has bytes."""
    if file_type and each.kind == "item":
        raise UsageError(
            f"{printable(each.label)!r} has bytes of its own: nothing is to be exported",
            hint="--export is for folders and projects",
        )
    return replace(each, export=file_type)


def _pins(drive: Drive) -> Pins:
    if drive.parts.pins is None or drive.settings.cache_size == 0:
        raise SetupError(
            "nothing can be pinned: there is no cache on disk (cache_size = 0)",
            hint="set cache_size to what pins may take, and an eighth more",
        )
    return drive.parts.pins


async def _pin(drive: Drive, path: str) -> Pin:
    node = await drive.resolve(path)
    shown = printable(path)
    if isinstance(node, Root | Hub):
        raise UsageError(f"{shown!r} is too much to pin", hint="pin projects, folders or files")
    if isinstance(node, Shortcut):
        raise UsageError(f"{shown!r} is a shortcut to a web page: there is nothing to keep of it")
    if isinstance(node, ExportedFile):
        raise UsageError(
            f"{shown!r} is kept already, until a newer version of its design comes",
            hint="dmfs pin --export FORMAT FOLDER keeps each newer one, too",
        )
    if isinstance(node, File):
        if not node.storage_id:
            raise DriveError(f"cannot pin {shown!r}: the service does not tell what is in it")
        above = await drive.resolve(path.rstrip("/").rpartition("/")[0])
    elif not isinstance(node, Project | Folder):
        raise UsageError(f"{shown!r} is made of old versions", hint="pin the versions themselves")
    else:
        above = node
    if isinstance(above, File | Shortcut):  # between the two looks
        raise NotFoundError(f"{shown!r} has moved")
    label = "/" + "/".join(part for part in path.split("/") if part and part != ".")
    if isinstance(node, File) and not await _is_listed(drive, above, label.rpartition("/")[2]):
        chain = drive.parts.listings.cache.chain(await _now(drive, above, path))
        version = as_listed(node)
        assert isinstance(version, File)
        return Pin("version", node.project_id, node.version_id, label, version, chain)
    chain = drive.parts.listings.cache.chain(above)
    kind: Kind = "item" if isinstance(node, File) else "folder"
    if isinstance(node, Project):
        kind = "project"
    node_id = node.item_id if isinstance(node, File) else node.id
    project_id = node.id if isinstance(node, Project) else node.project_id
    return Pin(kind, project_id, node_id, label, node, chain if kind == "item" else chain[:-1])


async def _is_listed(drive: Drive, above: Node, name: str) -> bool:
    """Whether it was named as the file that it is now, and not as a version that it was."""
    if not isinstance(above, LiveDirectory):
        return False
    return name in (await drive.parts.listings.get(above)).entries


async def _now(drive: Drive, above: Directory, path: str) -> LiveDirectory:
    """The directory in which a version of something lies or lay."""
    while not isinstance(above, LiveDirectory | Past | Histories):
        path = path.rstrip("/").rpartition("/")[0]
        found = await drive.resolve(path)
        above = Root() if isinstance(found, File | Shortcut) else found
    return above if isinstance(above, LiveDirectory) else above.of


async def _needed(drive: Drive, wanted: Iterable[Pin]) -> dict[StorageId, int]:
    """The bytes of all files that are wanted, by object. Lists what is not known."""
    found: dict[StorageId, int] = {}
    level: list[Directory] = []
    for each in wanted:
        if isinstance(each.node, File):
            found[each.node.storage_id] = drive.size_of(each.node)
        else:
            level.append(each.node)
    seen: set[str] = set()
    while level:
        level = [each for each in level if each.identity not in seen]
        seen |= {each.identity for each in level}
        slots = trio.CapacityLimiter(LISTINGS_AT_ONCE)
        below = await gather([partial(_list, drive, each, slots) for each in level])
        level = []
        for child in (child for children in below for child in children):
            if isinstance(child, File):
                if child.storage_id:
                    found[child.storage_id] = drive.size_of(child)
            elif not isinstance(child, Shortcut):
                level.append(child)
    return found


async def _list(drive: Drive, directory: Directory, slots: trio.CapacityLimiter) -> Sequence[Node]:
    async with slots:
        return [*(await drive.prepare(directory)).entries.values()]


async def _left_bytes(drive: Drive, pins: Pins) -> int:
    """What the cache and its disk still have for pins."""
    disk = drive.parts.blocks.disk
    room = await disk.room()
    contents = pins.contents
    held: dict[StorageId, int] = {}
    for file in contents.files.values():
        for version in (file.whole, file.coming):
            if version is not None:
                held[version.storage_id] = drive.size_of(version)
    if contents.others:
        sizes = await disk.at_rest([*contents.others])
        held |= {each: row.size_bytes for each, row in sizes.items()}
    return max(0, min(room.most_bytes, room.disk_bytes) - sum(held.values()))


async def _pinned_at(drive: Drive, pins: Pins, path: str) -> list[Pin]:
    label = "/" + "/".join(part for part in path.split("/") if part and part != ".")
    found = [each for each in pins.contents.pins if each.label == label]
    if found:
        return found
    node = await drive.resolve(path)
    ids = {getattr(node, each, "") for each in ("item_id", "version_id", "id")} - {""}
    found = [each for each in pins.contents.pins if each.node_id in ids]
    if not found:
        inherited = pins.pinned(node) == "inherited"
        hint = "it is kept because a folder above it is pinned: unpin that" if inherited else ""
        raise NotFoundError(f"{printable(path)!r} is not pinned", hint=hint)
    return found


async def _follow(pins: Pins, keys: set[tuple[str, str]], tell: Tell) -> None:
    """Tell of each step of these pins until none goes on."""
    shown: list[dict[str, Any]] = []
    began = trio.current_time()
    while True:
        ours = [each for each in pins.contents.pins if (each.project_id, each.node_id) in keys]
        now = [as_json(each) for each in ours]
        if now != shown:
            shown = now
            await tell({
                "event": "progress",
                **{key: sum(each[key] for each in now)
                   for key in ("files", "files_done", "bytes", "bytes_done")},
                "states": sorted({each["state"] for each in now}),
            })  # fmt: skip
        # (a pin that was complete before may stand in an older state until the keeper looks)
        if all(each["state"] in SETTLED for each in now) and trio.current_time() > began + LOOK_S:
            await tell({"event": "done", "pins": now})
            return
        await trio.sleep(LOOK_S)
        await pins.refresh()
