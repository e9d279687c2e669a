"""Worlds for measuring: hub ``Bench``, project ``Bench Project``, under ``Project Files``."""

from __future__ import annotations

from dmfs.emulator.world import ids
from dmfs.emulator.world.builder import Builder
from dmfs.emulator.world.content import Computed
from dmfs.emulator.world.designs.making import add_many
from dmfs.emulator.world.designs.relations import add_relations
from dmfs.emulator.world.model import Folder, World
from dmfs.emulator.world.zip_content import ZipArchive

_TREE_FILE_BYTES = 100_000
_MODELS = "rvt ifc nwd rfa dwfx ipt iam skp step f3d 3dm sldprt".split()
_LEVELS = (
    "rvt dwg jpg nwd ifc skp pdf step ipt 3dm rfa nwc iam dgn stp f3d sldprt"
    " rcp dwg rvt ifc dwf fbx rvt nwd e57 iges dwg rvt stl sldasm dwfx"
).split()
"""Of each 32 files of a project: models but for a document and a picture."""


class Bench:
    """Adds the parts of a bench to a world."""

    def __init__(self, world: World) -> None:
        self._build = Builder(world)
        hub = self._build.hub("Bench", "bim360:Account")
        project = self._build.project(hub, "Bench Project")
        self._top = self._build.folder(project, "Project Files")

    def designs(self, count_: int, versions_: int) -> None:
        """Fusion designs without bytes, in a hub and a project of their own."""
        hub = self._build.hub("Bench Fusion", "core:Hub", a_id=ids.a_id("business:benchfusion"))
        root = self._build.project(hub, "Bench Designs").root
        add_many(self._build, root, {"count": count_, "versions": versions_})

    def relations(self) -> None:
        """Drawings that refer to each other."""
        add_relations(self._build, self._build.folder(self._top, "relations"))

    def tree(self, folders_: int, files_: int, depth_: int) -> None:
        """Folders ``d0001``… below ``tree``, at most ``depth_`` deep, files spread over them."""
        top = self._build.folder(self._top, "tree")
        levels: list[tuple[Folder, int]] = [(top, 1)]
        parents = [(top, 1)]
        for number in range(1, folders_):
            # First one branch as deep as may be, then anywhere, by a hash of the number.
            chance = int.from_bytes(ids.digest(f"branch {number}")[:4], "big")
            parent, level = parents[-1 if number < depth_ else chance % len(parents)]
            child = self._build.folder(parent, f"d{number:04d}")
            levels.append((child, level + 1))
            if level + 1 < depth_:
                parents.append((child, level + 1))
        for number in range(files_):
            folder = levels[number % len(levels)][0]
            size = 1 + int.from_bytes(ids.digest(f"tree {number}")[:4], "big") % _TREE_FILE_BYTES
            self._build.file(folder, f"f{number:05d}.dat", size)

    def wide(self, items_: int) -> None:
        """All items in one folder."""
        folder = self._build.folder(self._top, "wide")
        for number in range(items_):
            self._build.file(folder, f"item-{number:06d}.dwg", 1000 + number)

    def models(self, count_: int) -> None:
        """Models of many formats in one folder."""
        folder = self._build.folder(self._top, "models")
        for number in range(count_):
            ending = _MODELS[number % len(_MODELS)]
            size = 200_000 + int.from_bytes(ids.digest(f"model {number}")[:4], "big") % 2_000_000
            self._build.file(folder, f"Tower {number:03d}.{ending}", size)

    def levels(self, folders_: int, files_: int, min_: int, max_: int) -> None:
        """Files of the field's formats, of sizes between the two in bytes, in so many folders."""
        if max_ < min_ or folders_ < 1:
            raise ValueError("levels: max is not less than min, and there is a folder")
        top = self._build.folder(self._top, "levels")
        folders = [self._build.folder(top, f"Level {number:03d}") for number in range(folders_)]
        for number in range(files_):
            spread = int.from_bytes(ids.digest(f"model {number}")[:4], "big")
            name = f"model {number:05d}.{_LEVELS[number // folders_ % len(_LEVELS)]}"
            self._build.file(folders[number % folders_], name, min_ + spread % (max_ - min_ + 1))

    def small(self, files_: int, min_: int, max_: int) -> None:
        """Small files of sizes between the two, in bytes."""
        if max_ < min_:
            raise ValueError("small: max is not less than min")
        folder = self._build.folder(self._top, "small")
        for number in range(files_):
            spread = int.from_bytes(ids.digest(f"small {number}")[:4], "big")
            size = min_ + spread % (max_ - min_ + 1)
            self._build.file(folder, f"small-{number:05d}.txt", size)

    def big(self, size_: int, count_: int, zip_: int, members_: int) -> None:
        """Big files; with ``zip_`` they are archives of so many members."""
        folder = self._build.folder(self._top, "big")
        for number in range(count_):
            seed = f"bench big {number}"
            if zip_:
                self._build.file(folder, f"big-{number:02d}.zip", ZipArchive(seed, size_, members_))
            else:
                self._build.file(folder, f"big-{number:02d}.bin", Computed(seed, size_))
