"""What the service has: hubs, projects, folders, and items as one version each."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from dmfs.compact import expand, in_link
from dmfs.model.ids import (
    LATER_FOLDER,
    LOCAL_FOLDER,
    FolderId,
    HubId,
    ItemId,
    ProjectId,
    StorageId,
    VersionId,
)


@dataclass(frozen=True, slots=True)
class Root:
    """The top of the drive: all hubs."""

    @property
    def identity(self) -> str:
        return "root"

    @property
    def name(self) -> str:
        return ""


@dataclass(frozen=True, slots=True)
class Hub:
    """An account or a team."""

    id: HubId
    name: str
    extension_type: str = ""

    @property
    def identity(self) -> str:
        return f"hub {self.id}"


@dataclass(frozen=True, slots=True)
class Project:
    """A project. An ``a.`` project lists the folder ``root_folder_id`` instead of top folders."""

    id: ProjectId
    hub_id: HubId
    name: str
    root_folder_id: FolderId | None = None
    extension_type: str = ""
    web_url: str = ""

    @property
    def identity(self) -> str:
        return f"project {self.hub_id} {self.id}"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder. ``rollup_ns`` changes when anything below it changes, as far as the service
    says."""

    id: FolderId
    project_id: ProjectId
    hub_id: HubId
    name: str
    mtime_ns: int = 0
    created_ns: int | None = None
    rollup_ns: int | None = None
    object_count: int | None = None
    created_by: str = ""
    extension_type: str = ""
    link: str = ""
    """``web_url`` in compact form (see ``compact``), as in ``File``."""
    service: bool = False
    """A BIM 360/ACC tool made it for itself (issues, checklists …); users did not."""
    no_files: bool = False
    """It takes no plain files (its ``allowedTypes``), as the Plans of BIM 360 do."""

    @property
    def web_url(self) -> str:
        """The entry's web page as the service names it; '' if it names none."""
        return expand(self.link, link_ids(self.project_id, self.id))

    @property
    def identity(self) -> str:
        return f"folder {self.project_id} {self.id}"

    @property
    def is_local(self) -> bool:
        """Whether the service does not have it."""
        return self.id.startswith(LOCAL_FOLDER)

    @property
    def comes_later(self) -> bool:
        """Whether the service gets it as soon as it can be reached."""
        return self.id.startswith(LATER_FOLDER)

    @property
    def stays_here(self) -> bool:
        """Whether the service never gets it."""
        return self.is_local and not self.comes_later


@dataclass(frozen=True, slots=True)
class File:
    """One version of an item, with bytes of its own.

    ``size_bytes`` comes from the listing, ``None`` if the listing gives none; the authoritative
    length comes with the signed URL and may differ. If the service lists an item but refuses its
    tip, the file has no version and no storage id: it shows, and ``open`` fails.
    """

    item_id: ItemId
    version: str
    """``version_id`` in compact form: it repeats the end of the item's id."""
    storage_id: StorageId
    folder_id: FolderId
    project_id: ProjectId
    hub_id: HubId
    name: str
    size_bytes: int | None
    mtime_ns: int = 0
    created_ns: int | None = None
    """Creation of the *item*: a new version must not change which item has a contested name."""
    version_number: int | None = None
    created_by: str = ""
    extension_type: str = ""
    link: str = ""
    reserved_by: str = ""
    """Who has the item locked: a user's id, a space, and the name."""
    label: str = ""
    """What the web page calls the version, where that is not its number."""

    @property
    def version_id(self) -> VersionId:
        return VersionId(expand(self.version, version_ids(self.item_id)))

    @property
    def web_url(self) -> str:
        """As in ``Folder``."""
        return expand(self.link, link_ids(self.project_id, self.folder_id, self.item_id))

    @property
    def identity(self) -> str:
        if not self.version_id:
            return f"unreadable {self.project_id} {self.item_id}"
        return f"version {self.project_id} {self.version_id}"


@dataclass(frozen=True, slots=True)
class WrittenFile(File):
    """A file that was written here: content of ours under a name, which has no version yet, or the
    version that the service made of it. It stays the same inode under an editor."""

    key: str = ""
    """Its identity: that of the version that was opened, or one of its own."""
    draft_id: str = ""
    """Of the content that is read instead of a version's bytes; '' where there is none."""
    base: File | None = None
    """The version that such content was opened from, without its time and its author."""

    @property
    def identity(self) -> str:
        return self.key


@dataclass(frozen=True, slots=True)
class Shortcut:
    """An item without bytes of its own, shown as a small ``.url`` file that opens its web page."""

    item_id: ItemId
    version_id: VersionId | None
    folder_id: FolderId
    project_id: ProjectId
    hub_id: HubId
    name: str
    """Already with its ``.url`` ending."""
    body: bytes
    mtime_ns: int = 0
    created_ns: int | None = None
    version_number: int | None = None
    created_by: str = ""
    extension_type: str = ""
    web_url: str = ""

    @property
    def identity(self) -> str:
        return f"shortcut {self.project_id} {self.version_id or self.item_id}"

    @property
    def size_bytes(self) -> int:
        return len(self.body)


@dataclass(frozen=True, slots=True)
class Marker(Shortcut):
    """A small file of the drive's own, answered under a name that is not listed."""

    within: str = ""
    """The identity of its directory."""

    @property
    def identity(self) -> str:
        return f"marker {self.within} {self.name}"


LiveDirectory = Root | Hub | Project | Folder
"""As the service has it now."""
Leaf = File | Shortcut


def link_ids(project_id: ProjectId, *others: str) -> list[str]:
    """The ids that an entry's web link repeats, encoded as in the link."""
    return [in_link(each) for each in (project_id.removeprefix("b."), *others)]


def version_ids(item_id: ItemId) -> list[str]:
    """The part of the item's id that a version's id repeats: ``5qEPmBP6YuptoOxOf9LEug``."""
    return [item_id.rpartition(":")[2]]


@dataclass(frozen=True, slots=True)
class RefusedFile(File):
    """Of an answer: an item that is listed and whose details are refused to this user, which is
    something else than details that did not come. In a listing it is a ``File`` without a
    version."""


def as_refused(leaf: Leaf) -> Leaf:
    """An item of an answer, now that its details were refused. What was deleted stays so."""
    plain = isinstance(leaf, File) and not isinstance(leaf, DeletedItem)
    return RefusedFile(**values_of(leaf)) if isinstance(leaf, File) and plain else leaf


@dataclass(frozen=True, slots=True)
class OldVersion(File):
    """A version under a name that means it for ever, in a drive that is written to: there the file
    under its own name may become another one, with the same identity."""

    @property
    def identity(self) -> str:
        return f"old {self.project_id} {self.version_id}"


def as_old(file: File) -> OldVersion:
    """The same version, apart from the file that may be written."""
    return OldVersion(**values_of(file))


@dataclass(frozen=True, slots=True)
class DeletedItem(File):
    """An item that was deleted, or the version of an item that says so: without bytes.
    ``mtime_ns``: when."""


@dataclass(frozen=True, slots=True)
class DeletedFolder(Folder):
    """A folder that was deleted. ``mtime_ns``: when."""


def values_of(file: File) -> dict[str, Any]:
    """What makes a plain ``File`` of it."""
    return {each.name: getattr(file, each.name) for each in fields(File)}
