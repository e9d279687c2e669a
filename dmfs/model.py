"""The nouns of the drive. Floor 0: frozen data, no behaviour beyond identity.

A *version* is immutable and its bytes have an immutable storage id, so a ``File`` **is one
version**: a new version is a new node with a new inode, and an open file goes on reading what it
opened. A ``Listing`` is the only mutable knowledge there is: all entries of one directory with
the moment at which they were true.

Times are integers in nanoseconds since the epoch, sizes are bytes, byte ranges are half-open.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NewType

from dmfs.compact import expand, in_link

HubId = NewType("HubId", str)
"""``b.<account guid>`` (BIM 360, ACC) or ``a.<base64>`` (Fusion Team, BIM 360 Team, personal)."""
ProjectId = NewType("ProjectId", str)
"""``b.<project guid>`` or ``a.<base64>``."""
FolderId = NewType("FolderId", str)
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
    region: str = ""

    @property
    def identity(self) -> str:
        return f"hub {self.id}"


@dataclass(frozen=True, slots=True)
class Project:
    """A project; ``root_folder_id`` is what ``a.`` projects list instead of top folders."""

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
    """A folder. ``rollup_ns`` moves when anything below it changes (as far as the service says)."""

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
    """``web_url`` in shorthand, as is a file's."""
    service: bool = False
    """Made by a BIM 360/ACC tool for itself (issues, checklists …), not by people."""

    @property
    def web_url(self) -> str:
        """The entry's page in a browser, as the service names it; '' where it does not."""
        return expand(self.link, link_ids(self.project_id, self.id))

    @property
    def identity(self) -> str:
        return f"folder {self.project_id} {self.id}"


@dataclass(frozen=True, slots=True)
class File:
    """One version of an item, with bytes of its own.

    ``size_bytes`` is the listing's word, ``None`` where it says nothing; the authoritative length
    comes with the signed URL and may differ. An item that is listed, but whose tip the service
    refuses to show, has no version and no storage id: it is there, and cannot be opened.
    """

    item_id: ItemId
    version: str
    """``version_id`` in shorthand: it repeats the end of the item's id."""
    storage_id: StorageId
    folder_id: FolderId
    project_id: ProjectId
    hub_id: HubId
    name: str
    size_bytes: int | None
    mtime_ns: int = 0
    created_ns: int | None = None
    """When the *item* was made: a new version must not change who keeps a contested name."""
    version_number: int | None = None
    created_by: str = ""
    extension_type: str = ""
    link: str = ""

    @property
    def version_id(self) -> VersionId:
        return VersionId(expand(self.version, version_ids(self.item_id)))

    @property
    def web_url(self) -> str:
        """As of a folder."""
        return expand(self.link, link_ids(self.project_id, self.folder_id, self.item_id))

    @property
    def identity(self) -> str:
        if not self.version_id:
            return f"unreadable {self.project_id} {self.item_id}"
        return f"version {self.project_id} {self.version_id}"


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
"""What can stand in a listing: anything but the root."""


def link_ids(project_id: ProjectId, *others: str) -> list[str]:
    """The ids that an entry's web link repeats, as it spells them."""
    return [in_link(each) for each in (project_id.removeprefix("b."), *others)]


def version_ids(item_id: ItemId) -> list[str]:
    """What the id of a version repeats of its item's: ``5qEPmBP6YuptoOxOf9LEug``."""
    return [item_id.rpartition(":")[2]]


def own_id(node: Child) -> str:
    """The service's id that outlives versions: decides contested names, hashed into suffixes."""
    return node.item_id if isinstance(node, File | Shortcut) else node.id


def created_ns(node: Child) -> int | None:
    """When the thing was made, where the service says so (hubs and projects: never)."""
    return None if isinstance(node, Hub | Project) else node.created_ns


@dataclass(frozen=True, slots=True)
class Listing:
    """All entries of one directory, by their unique legal names, in the order readdir shows.

    ``listed_at`` is trio's clock in seconds when the question was *asked*: a change made while the
    answer travelled is not in it for sure. ``rollup_ns`` is the directory's own rollup as its
    parent told it before the question, or None.
    """

    directory: Directory
    entries: Mapping[str, Child]
    listed_at: float
    rollup_ns: int | None = None
    warnings: tuple[str, ...] = ()
    names: tuple[str, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", tuple(self.entries))


@dataclass(frozen=True, slots=True)
class SignedRange:
    """A stretch of the object with the URL that serves it, offsets relative to the part."""

    start: int
    stop: int
    url: str = field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class SignedObject:
    """Leave to read a storage object: its authoritative size, its sha1 where known, its URLs.

    No repr: URLs are secrets and must not reach a log or a traceback.
    """

    size_bytes: int
    sha1: str
    parts: tuple[SignedRange, ...]
    expires_at: float
    """trio's clock, seconds."""
