"""Quirks of folder listings, one folder each (facts 3.1 and 8)."""

from __future__ import annotations

from dmfs.emulator.world import ids
from dmfs.emulator.world.builder import Builder
from dmfs.emulator.world.model import Folder, Item

_PAGE = 200


def fill(build: Builder, above: Folder) -> None:
    """Folders with telling names."""
    build.folder(above, "empty")
    nested = build.folder(above, "only subfolders")
    for name in ("one", "two"):
        build.folder(nested, name)
    for name, count in (("exactly 200", 200), ("201 entries", 201), ("450 entries", 450)):
        _many(build, build.folder(above, name), count)
    _empty_page(build, build.folder(above, "empty page in the middle"))
    for name, included in (
        ("half of the tips missing", "partial"),
        ("tips included twice", "duplicate"),
        ("included missing", "missing"),
    ):
        folder = build.folder(above, name, included=included)
        for number in range(6):
            build.file(folder, f"drawing {number}.dwg", 2000 + number)
    _hidden(build, build.folder(above, "hidden and deleted"))
    _deep(build, build.folder(above, "25 levels deep"))


def _many(build: Builder, folder: Folder, count: int) -> None:
    for number in range(count):
        build.file(folder, f"sheet {number:03d}.dwg", 1000 + number)


def _empty_page(build: Builder, folder: Folder) -> None:
    """Pages are cut before filtering: the second page holds hidden entries only."""
    for number in range(2 * _PAGE + 100):
        item = build.file(folder, f"row {number:03d}.dwg", 500 + number)
        item.hidden = _PAGE <= number < 2 * _PAGE


def _hidden(build: Builder, folder: Folder) -> None:
    build.file(folder, "visible.txt", "visible\n")
    hidden = build.file(folder, "hidden item.txt", "hidden\n")
    hidden.hidden = True
    listed = build.file(folder, "hidden item that is listed all the same.txt", "hidden\n")
    listed.hidden = listed.leaks = True
    deleted = build.file(folder, "deleted item.txt", "deleted\n")
    bury(build, deleted)
    # A tombstone whose item does not say hidden (facts 8.4).
    tombstone = build.file(folder, "tombstone not marked hidden.txt", "deleted\n")
    bury(build, tombstone)
    tombstone.hidden = False
    gone = build.folder(folder, "hidden folder", hidden=True)
    build.file(gone, "inside.txt", "hidden\n")
    build.folder(folder, "hidden folder that is listed all the same", hidden=True, leaks=True)


def bury(build: Builder, item: Item) -> None:
    """Delete as the service does: a version without bytes whose name is a GUID (facts 4.4)."""
    name = ids.guid(f"tombstone {item.tip.id}")
    data = {"originalName": item.tip.name}
    build.version(item, None, name=name, type_="core:Deleted", data=data)
    item.hidden = True


def _deep(build: Builder, folder: Folder) -> None:
    for level in range(1, 22):
        folder = build.folder(folder, f"level {level}")
    build.file(folder, "at the bottom.txt", "deep\n")
