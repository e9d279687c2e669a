"""Projects with years behind them: hubs ``Emulated Archive`` and ``Emulated Archive Team``.

Each change is an order of the past, so that the record has it as if it had happened then.
"""

from __future__ import annotations

from typing import Any

from dmfs.emulator.world import changes, ids, times
from dmfs.emulator.world.builder import Builder
from dmfs.emulator.world.changing.finding import Node
from dmfs.emulator.world.model import Folder, Hub, Item, Project, World
from dmfs.emulator.world.rights import ADA, BOB

BEGIN_S = times.parsed("2019-01-07T08:00Z")
_STEP_S = 100_000
"""Between two changes: 27 hours and 47 minutes, so that they stand at all times of a day."""
_PAUSE_S = 120 * 86_400


def make_history(world: World) -> None:
    """Add both hubs; the same each time."""
    build = Builder(world, prefix="history ")
    account = build.hub("Emulated Archive", "bim360:Account")
    team_id = ids.a_id("business:emulatedarchive")
    team = build.hub("Emulated Archive Team", "core:Hub", a_id=team_id)
    past = _Past(world)
    files = past.account(account, "Long Past")
    _counts(past, files)
    past.pause()
    _deleted(past, past.folder(files, "Deleted"))
    _named(past, past.folder(files, "Names"))
    past.pause()
    _folders(past, past.folder(files, "Folders"))
    _models(past, past.folder(files, "Models"))
    past.pause()
    _team(past, past.project(team, "Gearbox through Time"))


class _Past:
    """Orders, each a step later than the one before."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._at_s = BEGIN_S - _STEP_S
        self._count = 0

    def order(self, op: str, node: Node, **fields: Any) -> Any:
        self._at_s += _STEP_S
        self._count += 1
        user_id, user_name = (ADA, BOB)[self._count % 2]
        order = {"op": op, "id": node.id, "at": self._at_s, "user": user_id, "user_name": user_name}
        return changes.apply(self._world, order | fields)

    def pause(self) -> None:
        """Nothing happens for four months."""
        self._at_s += _PAUSE_S

    def project(self, hub: Hub, name: str) -> Project:
        project: Project = self.order("add_project", hub, name=name)
        return project

    def account(self, hub: Hub, name: str) -> Folder:
        """A new project's ``Project Files``."""
        return self.project(hub, name).root.folders[0]

    def folder(self, above: Node, name: str) -> Folder:
        folder: Folder = self.order("add_folder", above, name=name)
        return folder

    def file(self, folder: Folder, name: str, versions: int = 1, **fields: Any) -> Item:
        """Its bytes say which version they are; with ``no_bytes`` it has none."""
        kinds = {key: fields[key] for key in ("no_bytes",) if key in fields}
        item: Item = self.order("add_item", folder, name=name, text=f"{name} 1\n", **fields)
        for number in range(2, versions + 1):
            self.order("new_version", item, text=f"{name} {number}\n" * number, **kinds)
        return item


def _counts(past: _Past, folder: Folder) -> None:
    for count, word in ((1, "one version"), (2, "two versions"), (7, "seven versions")):
        past.file(folder, f"{word}.dwg", count)
    past.file(folder, "201 versions.txt", 201)
    promoted = past.file(folder, "promoted.dwg", 3)
    past.order("promote", promoted, number=1)
    past.order("new_version", promoted, text="after the promotion\n")
    past.order("promote", promoted, number=2)


def _deleted(past: _Past, folder: Folder) -> None:
    past.file(folder, "stays.txt")
    past.order("hide", past.file(folder, "deleted.txt", 2))
    restored = past.file(folder, "deleted and restored.txt", 2)
    past.order("hide", restored)
    past.order("restore", restored)
    twice = past.file(folder, "deleted twice.txt")
    for op in ("hide", "restore", "hide"):
        past.order(op, twice)
    # Its name is taken by another file afterwards.
    past.order("hide", past.file(folder, "replaced.dwg", 2))
    past.file(folder, "replaced.dwg", 2)


def _named(past: _Past, folder: Folder) -> None:
    item = past.file(folder, "draft.txt", 2)
    past.order("rename", item, name="for review.txt")
    past.order("new_version", item, text="reviewed\n")
    past.order("rename", item, name="final.txt")
    past.file(folder, "draft.txt")
    past.file(folder, "plan.dwg", 3)
    past.file(folder, "plan@v2.dwg", 2)
    past.file(folder, "plan@2019-12-24.dwg")
    past.file(folder, "no ending", 2)
    past.file(folder, ".hidden ending", 2)
    past.file(folder, "who@where.txt", 2)


def _folders(past: _Past, folder: Folder) -> None:
    gone = past.folder(folder, "deleted folder")
    past.file(gone, "inside.txt", 2)
    past.order("hide", past.file(gone, "deleted before.txt"))
    past.file(past.folder(gone, "below"), "deep inside.txt")
    past.order("delete_folder", gone)
    back = past.folder(folder, "restored folder")
    past.file(back, "inside.txt")
    past.order("delete_folder", back)
    past.order("restore", back)
    renamed = past.folder(folder, "former name")
    past.file(renamed, "inside.txt", 2)
    past.order("rename", renamed, name="present name")
    moved = past.file(renamed, "moved.txt", 2)
    past.order("move", moved, to=back.id)
    past.order("move", past.folder(folder, "moved folder"), to=back.id)


def _models(past: _Past, folder: Folder) -> None:
    """A cloud model has bytes from its publication on."""
    model = past.file(
        folder, "Tower.rvt", 2, no_bytes=True, type="bim360:C4RModel",
        data={"modelType": "multiuser", "modelGuid": ids.guid("history model")},
    )  # fmt: skip
    past.order("new_version", model, text="published\n")
    past.order("new_version", model, text="published again\n")
    past.file(
        folder, "Never published.rvt", 2, no_bytes=True, type="bim360:C4RModel",
        data={"modelType": "singleuser"},
    )  # fmt: skip


def _team(past: _Past, project: Project) -> None:
    """Designs have versions and no bytes. What is deleted here is gone for good."""
    root = project.root
    past.file(root, "Bracket", 4, no_bytes=True, type="fusion360:Design", file_type="f3d")
    past.file(root, "Bracket", 2, no_bytes=True, type="fusion360:Drawing", file_type="f2d")
    sheet = past.file(root, "Datasheet.pdf", 3)
    past.order("rename", sheet, name="Data sheet.pdf")
    past.order("hide", past.file(root, "gone for good.txt"))
    past.file(past.folder(root, "Parts"), "bolt.step", 2)
