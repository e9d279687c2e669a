"""Changes of each kind that are about to be sent, and whether they have happened."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tests.aps.wire import Wire


class Change(NamedTuple):
    """A call that changes something. ``happened``: as another client sees it."""

    send: Callable[[], Awaitable[object]]
    happened: Callable[[], bool]


async def storage(wire: Wire) -> Change:
    """(Of a place without bytes nothing is to be seen.)"""
    return Change(
        lambda: wire.uploads.storage(wire.project_id, wire.folder, "a.txt"), lambda: False
    )


async def completion(wire: Wire) -> Change:
    place = wire.place
    made = await wire.uploads.storage(wire.project_id, wire.folder, "a.txt")
    urls = await wire.uploads.part_urls(made, first=1, count=1)
    etag = await wire.put(urls.urls[0], b"bytes")
    return Change(
        lambda: wire.uploads.complete(made, urls.upload_key, 5, [etag]),
        lambda: place.writer.details(made).status == 200,
    )


async def new_item(wire: Wire) -> Change:
    made, place = await wire.uploaded(wire.folder, "a.txt", b"bytes"), wire.place
    return Change(
        lambda: wire.uploads.new_item(wire.project_id, wire.folder, "a.txt", made),
        lambda: "a.txt" in place.writer.listing(place.id),
    )


async def new_version(wire: Wire) -> Change:
    item, place = await wire.new_file("a.txt"), wire.place
    made = await wire.uploaded(item, "a.txt", b"second")
    return Change(
        lambda: wire.uploads.new_version(wire.project_id, item, "a.txt", made),
        lambda: len(place.versions(item)) == 2,
    )


async def new_folder(wire: Wire) -> Change:
    place = wire.place
    return Change(
        lambda: wire.uploads.new_folder(wire.project_id, wire.folder, "inner"),
        lambda: "inner" in place.writer.listing(place.id),
    )


async def folder_change(wire: Wire) -> Change:
    folder = await wire.uploads.new_folder(wire.project_id, wire.folder, "inner")
    place = wire.place
    return Change(
        lambda: wire.uploads.change_folder(wire.project_id, folder.id, name="other"),
        lambda: "other" in place.writer.listing(place.id),
    )


CHANGES: dict[str, Callable[[Wire], Awaitable[Change]]] = {
    "storage": storage, "complete": completion, "items_post": new_item,
    "versions_post": new_version, "folders_post": new_folder, "folder_patch": folder_change,
}  # fmt: skip
"""By the emulator's name of the route."""
