"""The nouns of writing, and how the journal spells them. Pure.

A *draft* is content of ours under a name. A *generation* is a state of its bytes that close(2) or
fsync(2) confirmed: it never changes. The *base* is the version that the draft was opened from.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Any, NamedTuple, NewType, Self

from dmfs.compact import shorten
from dmfs.model import (
    LATER_FOLDER,
    LOCAL_FOLDER,
    Child,
    Directory,
    File,
    Folder,
    FolderId,
    HubId,
    ItemId,
    Project,
    ProjectId,
    Shortcut,
    StorageId,
    VersionId,
    version_ids,
)

DraftId = NewType("DraftId", str)
"""32 hex digits, made here."""


class State(StrEnum):
    """Of a draft, as ``user.dmfs.state`` spells it."""

    LOCAL = "local"
    """It never goes up: a lock, a temporary or a backup file of a program."""
    WAITING = "waiting"
    UPLOADING = "uploading"
    CONFLICT = "conflict"
    """It went up beside the version of somebody else, and nobody has seen that yet."""
    FAILED = "failed"
    """It waits for a person."""
    CLEAN = "clean"
    """The service has it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a name is. ``folder`` may be the id of a folder that is not made yet."""

    hub_id: HubId
    project_id: ProjectId
    folder: FolderId
    name: str
    """As the mount shows it: legal, unique in its folder."""

    @classmethod
    def of(cls, file: File) -> Self:
        """Of a file that lost its name while it was open: nothing of it ever goes up."""
        return cls(file.hub_id, file.project_id, file.folder_id, file.name)

    def named(self, name: str) -> Place:
        return replace(self, name=name)


@dataclass(frozen=True, slots=True)
class Base:
    """The version that a draft was opened from, as the service describes it."""

    item_id: ItemId
    version_id: VersionId
    number: int
    storage_id: StorageId
    size_bytes: int
    name: str
    """The service's own name, never the one that the mount made of it."""
    extension_type: str
    created_ns: int | None = None
    """Of the item."""

    @classmethod
    def of(cls, file: File, size_bytes: int) -> Base:
        """``size_bytes``: the authoritative one."""
        return cls(
            file.item_id, file.version_id, file.version_number or 0, file.storage_id, size_bytes,
            file.name, file.extension_type, file.created_ns,
        )  # fmt: skip

    def as_file(self, place: Place) -> File:
        """The version as a node, to be read."""
        return File(
            self.item_id, shorten(self.version_id, version_ids(self.item_id)), self.storage_id,
            place.folder, place.project_id, place.hub_id, self.name, self.size_bytes,
            created_ns=self.created_ns, version_number=self.number,
            extension_type=self.extension_type,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Draft:
    """A row of the journal (kind ``draft``); its bytes are the spool's business."""

    id: DraftId
    place: Place
    key: str
    """What its inode number follows from: the identity of the version that it was opened from, so
    that an editor sees no other inode, else one of its own."""
    owner: str
    """Whose work it is: the sign-in (``assembly``'s scope)."""
    base: Base | None = None
    """What the service's tip has to be when it goes up."""
    beneath: Base | None = None
    """The version that the bytes come from that were not written here."""
    state: State = State.WAITING
    reason: str = ""
    """Why it waits or failed, in words."""
    generation: int = 0
    """The last confirmed one; 0: none yet."""
    uploaded_generation: int = 0
    """The last one that the service has as a version."""
    size_bytes: int = 0
    mtime_ns: int = 0
    made_at_s: float = 0.0
    changed_at_s: float = 0.0
    """Wall clock, of the last confirmation."""
    orphan: bool = False
    """Without a name: it was deleted while a program had it open."""

    def as_file(self) -> File:
        """A node that no version lies beneath."""
        at = self.place
        return File(ItemId(""), "", StorageId(""), at.folder, at.project_id, at.hub_id, at.name, 0)

    def recovered(self, generation: int, size_bytes: int, mtime_ns: int) -> Draft:
        """As a new process goes on with it, whose bytes are of that generation: the row of a name's
        change may have overtaken that of the bytes."""
        draft = self
        if generation != self.generation:
            draft = replace(self, generation=generation, size_bytes=size_bytes, mtime_ns=mtime_ns)
        if draft.state in (State.UPLOADING, State.CLEAN):
            draft = replace(draft, state=State.WAITING)
        return draft

    def is_up(self, generation: int) -> bool:
        """Whether the service has this generation."""
        return self.state is State.CLEAN and generation <= self.uploaded_generation

    def as_row(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Self:
        """ValueError, TypeError, KeyError for a row of another shape."""
        known = {each.name: row[each.name] for each in fields(cls) if each.name in row}
        known["place"] = Place(**known["place"])
        for each in ("base", "beneath"):
            known[each] = None if known.get(each) is None else Base(**known[each])
        known["state"] = State(known.get("state", State.WAITING))
        return cls(**known)


class Change(NamedTuple):
    """One row of a transaction of the journal."""

    kind: str
    """``draft``, ``content``, ``name``, ``upload``, ``adopted`` …: who reads it knows its shape."""
    key: str
    record: Mapping[str, Any] | None
    """Spelled as JSON; None: the row goes."""
    blob: bytes = b""


class Row(NamedTuple):
    """A row as it was found at the start."""

    record: Mapping[str, Any]
    blob: bytes


@dataclass(frozen=True, slots=True)
class NewItem:
    """A target: a file that the service does not have yet."""

    place: Place
    name: str
    """To be posted."""


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A target: the next version of an item."""

    place: Place
    base: Base
    """What the tip has to be. Another item's base where a dance of names says so."""
    name: str
    """To be posted: the base's own name, or another one where the item is renamed with it."""


Target = NewItem | NewVersion


def new_folder_id(*, later: bool = False) -> FolderId:
    """Of a folder that the service does not have, or has ``later``."""
    return FolderId(f"{LATER_FOLDER if later else LOCAL_FOLDER}{uuid.uuid4().hex}")


def new_draft_id() -> DraftId:
    return DraftId(uuid.uuid4().hex)


UNLINKED = "unlinked "


def new_unlinked_key() -> str:
    """The identity of a file that has lost its name: whoever has it open goes on with it."""
    return f"{UNLINKED}{new_draft_id()}"


def is_unlinked(identity: str) -> bool:
    return identity.startswith(UNLINKED)


def folder_of(directory: Directory) -> FolderId | None:
    """The folder in which things of a directory are made; None where nothing can be: above the
    projects, and at the top of a ``b.`` project."""
    if isinstance(directory, Folder):
        return directory.id
    if isinstance(directory, Project) and not is_account(directory):
        return directory.root_folder_id
    return None


def place_of(directory: Directory, name: str) -> Place | None:
    """None where nothing can be made."""
    folder = folder_of(directory)
    if folder is None:
        return None
    project_id = directory.project_id if isinstance(directory, Folder) else directory.id  # type: ignore[union-attr]
    return Place(directory.hub_id, project_id, folder, name)  # type: ignore[union-attr, arg-type]


def is_account(node: Child | Directory | Place) -> bool:
    """Whether it is of BIM 360 or ACC (``b.``): renames by new versions, and deletions exist."""
    if isinstance(node, Project):
        return node.id.startswith("b.")
    if isinstance(node, Folder | File | Shortcut | Place):
        return node.project_id.startswith("b.")
    return False
