"""The nouns of the drive: frozen data, no behaviour beyond identity.

A *version* is immutable and its bytes have an immutable storage id, so a ``File`` **is one
version**: a new version is a new node with a new inode, and an open file goes on reading the
version that it opened. Only listings change: a ``Listing`` is all entries of one directory at one
moment, and a newer one replaces it.

Times are integers in nanoseconds since the epoch, sizes are bytes, byte ranges are half-open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, NewType

from dmfs.compact import expand, in_link

HubId = NewType("HubId", str)
"""``b.<account guid>`` (BIM 360, ACC) or ``a.<base64>`` (Fusion Team, BIM 360 Team, personal)."""
ProjectId = NewType("ProjectId", str)
"""``b.<project guid>`` or ``a.<base64>``."""
FolderId = NewType("FolderId", str)
LOCAL_FOLDER = "local:"
"""A folder that the service does not have has such an id, with 32 hex digits behind it."""
LATER_FOLDER = "local:later:"
"""The same, of one that it gets as soon as it can be reached."""
"""``urn:adsk.wipprod:fs.folder:co.<22 chars>``."""
ItemId = NewType("ItemId", str)
"""``urn:adsk.wipprod:dm.lineage:<22 chars>``: a file through all of its versions."""
VersionId = NewType("VersionId", str)
"""``urn:adsk.wipprod:fs.file:vf.<22 chars>?version=N``."""
StorageId = NewType("StorageId", str)
"""``urn:adsk.objects:os.object:<bucket>/<object key>``: immutable bytes."""


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


Directory = Root | Hub | Project | Folder
Leaf = File | Shortcut
Node = Root | Hub | Project | Folder | File | Shortcut
Child = Hub | Project | Folder | File | Shortcut
"""An entry of a listing: any node but the root."""


def link_ids(project_id: ProjectId, *others: str) -> list[str]:
    """The ids that an entry's web link repeats, encoded as in the link."""
    return [in_link(each) for each in (project_id.removeprefix("b."), *others)]


def version_ids(item_id: ItemId) -> list[str]:
    """The part of the item's id that a version's id repeats: ``5qEPmBP6YuptoOxOf9LEug``."""
    return [item_id.rpartition(":")[2]]


def own_id(node: Child) -> str:
    """The service's id that is equal for all versions: it decides contested names, and suffixes
    hash it."""
    return node.item_id if isinstance(node, File | Shortcut) else node.id


def created_ns(node: Child) -> int | None:
    """Creation time, if the service gives one (for hubs and projects it never does)."""
    return None if isinstance(node, Hub | Project) else node.created_ns


@dataclass(frozen=True, slots=True)
class Listing:
    """All entries of one directory, by their unique legal names, in the order readdir shows.

    ``listed_at`` is trio's clock in seconds when the drive *sent* the request: the answer may miss
    a change that happened later. ``rollup_ns`` is the directory's own rollup as its parent's
    listing showed it before the request, or None.
    """

    directory: Directory
    entries: Mapping[str, Child]
    listed_at: float
    rollup_ns: int | None = None
    undescribed: int = 0
    """Entries that the service listed and did not describe: they show, and cannot be opened or are
    as the listing before described them."""
    lost: int = 0
    """Entries of which not even a name is known: a name that is not here may exist all the same."""
    names: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.entries))

    @property
    def incomplete(self) -> int:
        """Entries that are not as they should be."""
        return self.undescribed + self.lost


@dataclass(frozen=True, slots=True)
class RefusedFile(File):
    """Of an answer: an item that is listed and whose details are refused to this user, which is
    something else than details that did not come. In a listing it is a ``File`` without a
    version."""


def as_refused(leaf: Leaf) -> Leaf:
    """An item of an answer, now that its details were refused."""
    return RefusedFile(**_values(leaf)) if isinstance(leaf, File) else leaf


def as_listed(child: Child) -> Child:
    """A child of an answer, or one that was written here, as a listing has it."""
    return File(**_values(child)) if isinstance(child, RefusedFile | WrittenFile) else child


def _values(file: File) -> dict[str, Any]:
    return {each.name: getattr(file, each.name) for each in fields(File)}


@dataclass(frozen=True, slots=True)
class SignedRange:
    """A byte range of the object with the URL that serves it; the URL counts from ``start``."""

    start: int
    stop: int
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class SignedObject:
    """Signed URLs of a storage object, with its authoritative size and its sha1 ('' if unknown).

    No repr: URLs are secrets and must not reach a log or a traceback.
    """

    size_bytes: int
    sha1: str
    parts: tuple[SignedRange, ...]
    expires_at: float
    """trio's clock, seconds."""
