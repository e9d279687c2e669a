"""Histories laid out in an emulator, and trees at a moment: as a drive shows them, and as the
emulator's own record has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from hypothesis import strategies as st

from dmfs.emulator.world import ids
from dmfs.emulator.world.builder import Builder
from dmfs.emulator.world.model import Folder, Item, Json, Project
from dmfs.emulator.world.past import tree
from dmfs.model import Child, Directory, File, Past, Shortcut, own_id
from dmfs.namespace.listings import Listings
from tests.support.near_service import NearService

BEGIN_S = 1_577_836_800.0
"""2020-01-01."""


class Row(NamedTuple):
    """An entry. ``names``: those of the service, on the way to it."""

    names: tuple[str, ...]
    id: str
    version: str = ""
    number: int = 0
    storage: str = ""
    size: int | None = None
    since_s: int = 0
    """Of a file: when that version was made, in whole seconds."""


async def shown(listings: Listings, top: Directory) -> list[Row]:
    """All that a walk finds below a directory, sorted."""
    found: list[Row] = []

    async def walk(directory: Directory, above: tuple[str, ...]) -> None:
        listing = await listings.get(directory)
        raw = [_raw(child) for child in listing.entries.values()]
        for name, child in listing.entries.items():
            if raw.count(_raw(child)) == 1 and "/" not in name:
                assert name.removesuffix(".url") == _raw(child)
            found.append(_row(child, above))
            if not isinstance(child, File | Shortcut):
                await walk(child, (*above, _raw(child)))

    await walk(top, ())
    return sorted(found)


def _raw(child: Child) -> str:
    return child.name.removesuffix(".url") if isinstance(child, Shortcut) else child.name


def _row(child: Child, above: tuple[str, ...]) -> Row:
    node = child.of if isinstance(child, Past) else child
    row = Row((*above, _raw(child)), own_id(node))  # type: ignore[arg-type]
    if not isinstance(child, File | Shortcut):
        return row
    row = row._replace(
        version=child.version_id or "",
        number=child.version_number or 0,
        since_s=child.mtime_ns // 10**9,
    )
    if isinstance(child, Shortcut):
        return row
    return row._replace(storage=child.storage_id, size=child.size_bytes)


def recorded(service: NearService, start: Any, at_s: float, view: str = "served") -> list[Row]:
    """The same by the emulator's record: as the service tells (``served``), or as it was."""
    make = tree.served_tree if view == "served" else tree.true_tree
    return sorted(
        _recorded_row(entry) for entry in make(service.emulator.world, start, at_s).entries
    )


def _recorded_row(entry: Json) -> Row:
    row = Row(tuple(entry["names"]), entry["id"])
    if entry["kind"] != "item":
        return row
    has_bytes = entry["storage"] is not None
    return row._replace(
        version=entry["version"], number=entry["number"], storage=entry["storage"] or "",
        size=entry["listed_size"] if has_bytes else None, since_s=int(entry["since"]),
    )  # fmt: skip


UNTOLD_OPS = ("move", "move_folder", "rename_folder", "restore_folder")
"""Of these the service keeps nothing."""
TOLD_OPS = (
    "new_version", "new_version", "no_bytes", "rename", "hide", "hide", "restore", "restore",
    "promote", "add_item", "add_folder", "delete_folder",
)  # fmt: skip
FIRST = [
    ("add_folder", 0, "a", 1.0), ("add_item", 0, "b", 1.0), ("add_item", 1, "a", 0.0),
    ("add_item", 1, "c.dwg", 3600.0), ("new_version", 1, "", 3600.0),
]  # fmt: skip
"""So does each history begin."""
STEPS_S = (0.0, 0.25, 0.5, 1.0, 7.75, 3600.0, 86_400.0)


def orders_of(*ops: str) -> st.SearchStrategy[list[tuple[str, int, str, float]]]:
    """Orders: what, on which, under which name, how long after the one before."""
    one = st.tuples(
        st.sampled_from(ops), st.integers(0, 50), st.sampled_from(["a", "b", "c.dwg"]),
        st.sampled_from(STEPS_S),
    )  # fmt: skip
    return st.lists(one, min_size=4, max_size=30)


@dataclass
class History:
    """What happened in one project."""

    service: NearService
    project: Project
    now_s: float = BEGIN_S
    moments_s: list[float] = field(default_factory=lambda: [BEGIN_S])
    """Of each change."""
    untold: set[str] = field(default_factory=set)
    """Folders and items of which something happened that the service does not keep."""

    def carry_out(self, orders: Sequence[tuple[str, int, str, float]]) -> None:
        """Each that makes sense."""
        for op, choice, name, step_s in orders:
            self._order(op, choice, name, step_s)

    def _order(self, op: str, choice: int, name: str, step_s: float) -> None:
        folders = self._folders()
        items = [item for folder in folders for item in folder.items]
        kinds: dict[str, list[Any]] = {
            "add_item": folders, "add_folder": folders,
            "delete_folder": folders[1:], "rename_folder": folders[1:], "move_folder": folders[1:],
            "restore_folder": [f for folder in folders for f in folder.folders if f.hidden],
            "restore": [item for item in items if item.hidden],
        }  # fmt: skip
        nodes = kinds.get(op, [item for item in items if not item.hidden])
        if not nodes:
            return
        node, to = nodes[choice % len(nodes)], folders[choice * 7 % len(folders)]
        order: Json = {
            "op": op.removesuffix("_folder") if op not in ("add_folder", "delete_folder") else op,
            "id": node.id, "at": self.now_s + step_s, "name": name, "number": 1, "to": to.id,
            "size": 10 + choice,
        }  # fmt: skip
        if op == "no_bytes":
            order |= {"op": "new_version", "no_bytes": True}
        if order["op"] == "new_version":
            del order["name"]
        try:
            made = self.service.change(**order)
        except ValueError:
            return
        self.now_s += step_s
        self.moments_s.append(self.now_s)
        if op in UNTOLD_OPS or (op in ("hide", "delete_folder") and not self._is_account):
            self.untold.add(made.id)

    @property
    def _is_account(self) -> bool:
        return self.project.hub.is_account

    def _folders(self) -> list[Folder]:
        """Those that are there, and in none that is not; of an account without the root."""
        found = [self.project.root]
        for folder in found:
            found += [each for each in folder.folders if not each.hidden]
        return found[1:] if self._is_account else found

    def above(self, node_id: str) -> list[str]:
        """The ids of a thing, of its folder now, and so on."""
        world = self.service.emulator.world
        node: Folder | Item | None = world.items.get(node_id) or world.folders.get(node_id)
        found = []
        while node is not None:
            found.append(node.id)
            node = node.parent
        return found


def a_history(orders: Sequence[tuple[str, int, str, float]], *, team: bool = False) -> History:
    """A project, and what happened in it, in an emulator of its own."""
    service = NearService("empty")
    builder = Builder(service.emulator.world)
    team_id = ids.a_id("business:team")
    kinds = ("core:Hub", team_id) if team else ("bim360:Account", "")
    hub = builder.hub("Hub", kinds[0], a_id=kinds[1])
    project = service.change("add_project", id=hub.id, name="P", at=BEGIN_S)
    history = History(service, project)
    history.carry_out([*FIRST, *orders])
    return history
