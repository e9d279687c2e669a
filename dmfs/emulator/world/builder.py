"""Making worlds: helpers that fill in ids, times and users from a name.

Every id is a hash of the path of raw names that leads to a thing (plus a counter for equal
names), and every time is counted from one fixed moment, so that a world is the same on each start.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from dmfs.emulator.world import ids, times
from dmfs.emulator.world.content import Computed, Content, Literal
from dmfs.emulator.world.model import Folder, Hub, Item, Project, Storage, Version, World

START_S = 1_714_550_400.0
"""2024-05-01T08:00:00Z."""
USERS = (("5XK2QPAN7TLR", "Ada Berg"), ("9MDC4HSWB3VE", "Noor Haddad"), ("", ""))
"""createUserId and createUserName; they are sometimes empty (facts 3.1)."""
BIM_FOLDER = "folders:autodesk.bim360:Folder"
CORE_FOLDER = "folders:autodesk.core:Folder"
BIM_FILE = "bim360:File"


class Builder:
    """Adds things to a world."""

    def __init__(
        self, world: World, clock: Callable[[], float] | None = None, prefix: str = ""
    ) -> None:
        """``clock`` in place of the world's own history; ``prefix`` keeps labels apart."""
        self.world = world
        self._clock = clock
        self._prefix = prefix
        self._seen: Counter[str] = Counter()
        self._labels: dict[int, str] = {}
        self._ticks = 0

    def _label(self, parent: object, name: str) -> str:
        """A unique label for a child: the parent's label, the name, and a counter if needed."""
        label = f"{self._labels.get(id(parent), self._prefix)}/{name}"
        self._seen[label] += 1
        return label if self._seen[label] == 1 else f"{label}#{self._seen[label]}"

    def tick_s(self) -> float:
        """The next moment of the world's history: each thing a little younger than the last."""
        if self._clock is not None:
            return self._clock()
        self._ticks += 1
        return START_S + self._ticks * 61.1234567

    def hub(self, name: str, kind: str, *, region: str = "US", a_id: str = "") -> Hub:
        """``kind``: ``bim360:Account``, ``core:Hub`` or ``a360:PersonalHub``."""
        label = self._label(None, name)
        hub_id = a_id or f"b.{ids.guid('hub' + label)}"
        hub = Hub(hub_id, name, f"hubs:autodesk.{kind}", region)
        self._labels[id(hub)] = label
        self.world.hubs.append(hub)
        self.world.note(hub, self._clock() if self._clock else 0.0)
        return hub

    def project(self, hub: Hub, name: str, project_type: str = "ACC") -> Project:
        """``project_type``: ACC or BIM360; ignored in ``a.`` hubs."""
        label = self._label(hub, name)
        if hub.is_account:
            project_id, type_ = f"b.{ids.guid('project' + label)}", "bim360:Project"
        else:
            # Some real ids of this kind carry padding, some do not (facts 3.4).
            number = int.from_bytes(ids.digest(label)[:5], "big")
            project_id = ids.a_id(f"business:emulator#{number}", padded=number % 2 == 0)
            type_ = "core:Project"
        project = Project(project_id, name, hub, f"projects:autodesk.{type_}")
        project.project_type = project_type if hub.is_account else ""
        self._labels[id(project)] = label
        root_name = f"{project_id[2:]}-root-folder" if hub.is_account else name
        project.root = self._new_folder(project, None, root_name, label + "//root")
        project.root.user = ("", "") if hub.is_account else USERS[0]
        hub.projects.append(project)
        self.world.projects[project_id] = project
        self.world.note(project, self.world.past[project.root.id][0].at_s)
        return project

    def _new_folder(self, project: Project, parent: Folder | None, name: str, label: str) -> Folder:
        realm, _ = places(project)
        made_s = self.tick_s()
        account = project.hub.is_account
        folder = Folder(
            ids.folder_id(realm, "folder" + label), name, project, parent,
            stamp(project, made_s), made_s + 5, made_s + 5,
            type=BIM_FOLDER if account else CORE_FOLDER,
            user=USERS[len(name) % len(USERS)],
        )  # fmt: skip
        self._labels[id(folder)] = label
        self.world.folders[folder.id] = folder
        self.world.note(folder, made_s)
        return folder

    def folder(self, parent: Folder | Project, name: str, **attributes: Any) -> Folder:
        """A folder; extra keywords set attributes of :class:`Folder`."""
        above = parent.root if isinstance(parent, Project) else parent
        folder = self._new_folder(above.project, above, name, self._label(above, name))
        for key, value in attributes.items():
            setattr(folder, key, value)
        above.children.append(folder)
        self._touched(above, folder.rollup_s)
        return folder

    def item(self, parent: Folder, name: str, *, type_: str = "", **attributes: Any) -> Item:
        """An item without versions yet. ``type_`` like ``bim360:File``; default by project."""
        label = self._label(parent, name)
        realm, _ = places(parent.project)
        made = stamp(parent.project, self.tick_s())
        kind = type_ or (BIM_FILE if parent.project.hub.is_account else "core:File")
        item = Item(
            ids.item_id(realm, ids.short_id("item" + label)), f"items:autodesk.{kind}", name,
            parent, made, made, user=USERS[len(name) % len(USERS)],
            data={"sourceFileName": name} if kind == BIM_FILE else {},
        )  # fmt: skip
        for key, value in attributes.items():
            setattr(item, key, value)
        self._labels[id(item)] = label
        parent.children.append(item)
        self.world.items[item.id] = item
        return item

    def version(
        self, item: Item, content: Content | None, *, name: str | None = None,
        object_key: str = "", suffix: str = "", type_: str = "", **attributes: Any,
    ) -> Version:  # fmt: skip
        """One more version of ``item``; extra keywords set attributes of :class:`Version`.

        ``suffix`` replaces the 22 characters after ``vf.``, which usually equal the lineage's.
        """
        project = item.parent.project
        realm, bucket = places(project)
        number = len(item.versions) + 1
        made_s = self.tick_s()
        file_name = item.display_name or "" if name is None else name
        ending = file_name.rpartition(".")[2].lower() if "." in file_name else ""
        storage = None
        if content is not None:
            label = f"{self._labels.get(id(item), item.id)}@{number}"
            key = object_key or ids.guid("object" + label) + key_ending(ending)
            storage = Storage(ids.storage_id(bucket, key), content, modified_s=made_s)
        made = stamp(project, made_s)
        version = Version(
            ids.version_id(realm, suffix or item.id.rpartition(":")[2], number), number,
            f"versions:autodesk.{type_}" if type_ else item.type.replace("items:", "versions:"),
            file_name, file_name, storage, None if content is None else content.size,
            # Post-processing moves it a few seconds after every upload (facts 3.2).
            made, stamp(project, made_s + 4),
            file_type=(ending or None) if content is not None else None,
            user=item.user,
            data=version_data(project, file_name, number) if content is not None else {},
        )  # fmt: skip
        for key, value in attributes.items():
            setattr(version, key, value)
        self.world.add_version(item, version)
        item.modified_time = version.modified_time
        self._touched(item.parent, made_s + 4)
        self.world.note(item, made_s)
        return version

    def file(
        self, parent: Folder, name: str, content: Content | int | bytes | str = 4096,
        *, type_: str = "", **attributes: Any,
    ) -> Item:  # fmt: skip
        """An item with one version. An integer means that many computed bytes."""
        item = self.item(parent, name, type_=type_)
        self.version(item, self.content(item, content), **attributes)
        return item

    def content(self, item: Item, content: Content | int | bytes | str) -> Content:
        """Content as such, or as a size in bytes, literal bytes or text."""
        if isinstance(content, int):
            return Computed(f"{self._labels.get(id(item), item.id)}@{len(item.versions)}", content)
        if isinstance(content, str):
            content = content.encode()
        return Literal(content) if isinstance(content, bytes) else content

    def _touched(self, folder: Folder, moment_s: float) -> None:
        folder.modified_s = max(folder.modified_s, moment_s)
        at: Folder | None = folder
        while at is not None:
            at.rollup_s = max(at.rollup_s, moment_s)
            at = at.parent


def places(project: Project) -> tuple[str, str]:
    """The realm of urns and the bucket of objects, by the region of the hub."""
    if project.hub.region == "EMEA":
        return ids.EMEA_REALM, ids.EMEA_BUCKET
    return ids.US_REALM, ids.US_BUCKET


def stamp(project: Project, seconds: float) -> str:
    """A time as this kind of project writes it."""
    if project.hub.is_account:
        return times.seven_digits(seconds)
    return times.offset_form(seconds)


def key_ending(ending: str) -> str:
    """``.dwg`` at the end of an object key, where the ending is a plain one."""
    return f".{ending}" if ending.isascii() and ending.isalnum() and len(ending) <= 8 else ""


def version_data(project: Project, name: str, number: int) -> dict[str, Any]:
    """``extension.data`` of a plain file's version."""
    if not project.hub.is_account:
        return {}
    return {
        "processState": "PROCESSING_COMPLETE",
        "extractionState": "SUCCESS",
        "revisionDisplayLabel": str(number),
        "sourceFileName": name,
        "conformingStatus": "NONE",
    }
