"""A folder of drawings that refer to each other, for whoever follows references."""

from __future__ import annotations

from dmfs.emulator.world.builder import Builder
from dmfs.emulator.world.model import End, Folder, Item, Ref
from dmfs.emulator.world.sample.folders import bury


def add_relations(build: Builder, folder: Folder) -> None:
    """``Site plan.dwg`` (two versions) refers, in its second one, to drawings in four folders: one
    may not be seen, one is deleted, of one to a version that is no longer the tip. Others refer to
    it: one that may not be seen, and one to which it refers itself."""
    drawings = build.folder(folder, "Drawings")
    shared = build.folder(folder, "Shared")
    deep = build.folder(build.folder(folder, "Survey"), "2024")
    secret = build.folder(folder, "Secret")
    plan = build.file(drawings, "Site plan.dwg", 31_000)
    build.version(plan, build.content(plan, 32_000))
    grid, title, contours, hidden, deleted = (
        build.file(where, name, 8_000 + len(name))
        for where, name in (
            (drawings, "Grid.dwg"), (shared, "Title block.dwg"), (deep, "Contours.dwg"),
            (secret, "Hidden.dwg"), (shared, "Deleted.dwg"),
        )
    )  # fmt: skip
    photo = build.file(shared, "Facade.png", 5_000)
    old_grid = End(grid, grid.tip)
    build.version(grid, build.content(grid, 9_000))
    for used in (old_grid, *map(tip, (title, contours, hidden, deleted, photo))):
        xref(build, used, tip(plan))
    overview = build.file(deep, "Overview.dwg", 7_000)
    secret_overview = build.file(secret, "Secret overview.dwg", 7_100)
    for user in (overview, secret_overview, grid):
        xref(build, tip(plan), tip(user), nested="overlay")
    sheet = build.file(shared, "Site plan.pdf", 6_000)
    kind = "derived:autodesk.bim360:FileToDocument"
    build.world.refs.append(Ref("derived", tip(plan), tip(sheet), kind))
    bury(build, deleted)
    secret.revoked = True


def xref(build: Builder, source: End, target: End, *, nested: str = "attachment") -> None:
    """``target`` shows what is in ``source``."""
    build.world.refs.append(Ref("xrefs", source, target, Ref.XREF, "1.1.0", {"nestedType": nested}))


def tip(item: Item) -> End:
    """The version that is the tip now, and remains the end when there is another one."""
    return End(item, item.tip)
