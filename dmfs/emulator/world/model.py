"""The data of a world: what the service knows, independent of its protocol.

Plain mutable records. Times are strings exactly as they are served (a garbage time must be
possible) except where a ``_s`` says seconds since the epoch. Children stand in the order in
which they are listed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

from dmfs.emulator.world import times
from dmfs.emulator.world.content import Content

Json = dict[str, Any]

DELETED_VERSION = "versions:autodesk.core:Deleted"


@dataclass(slots=True, eq=False)
class Storage:
    """An object in OSS. ``signing``: complete, chunked, fallback, forbidden (403), gone (404)."""

    urn: str
    content: Content
    signing: str = "complete"
    gives_sha1: bool = True
    modified_s: float = 1.7e9
    sha1: str | None = None
    """Kept once computed."""
    revision: int = 0
    """Counts how often the bytes were replaced: each has another ETag."""
    sha1_from_s: float = 0.0
    """The sha1 is told from that moment on."""
    sha256: str | None = None
    gone_from_s: float = math.inf
    """The object is a 404 from that moment on."""

    @property
    def is_gone(self) -> bool:
        return self.signing == "gone" or time.time() >= self.gone_from_s


@dataclass(slots=True, eq=False)
class Version:
    """One version. ``listed_size`` is storageSize as listed, None where the key is missing."""

    id: str
    number: int
    type: str
    name: str | None
    display_name: str | None
    storage: Storage | None
    listed_size: int | None
    create_time: str
    modified_time: str | None
    file_type: str | None = None
    mime_type: str | None = None
    user: tuple[str, str] = ("", "")
    data: Json = field(default_factory=dict)
    web_view: bool = True
    listed_from_s: float = 0.0
    """Listings show it from that moment on."""


@dataclass(slots=True, eq=False)
class Item:
    """A file through all its versions (oldest first); the last one is the tip."""

    id: str
    type: str
    display_name: str | None
    parent: Folder
    create_time: str
    modified_time: str | None
    versions: list[Version] = field(default_factory=list)
    hidden: bool = False
    reserved: Json | None = None
    user: tuple[str, str] = ("", "")
    data: Json = field(default_factory=dict)
    web_view: bool = True
    revoked: bool = False
    leaks: bool = False
    """Listed although it is hidden (facts 8.4)."""
    publish_state: str = ""
    """Of a cloud model: published, waiting, publishing or failed; empty: as its tip has bytes."""

    @property
    def tip(self) -> Version:
        return self.versions[-1]


@dataclass(slots=True, eq=False)
class Folder:
    """A folder. ``included``: normal, missing, partial or duplicate, see ``api_data``."""

    id: str
    name: str
    project: Project
    parent: Folder | None
    create_time: str
    modified_s: float
    rollup_s: float
    type: str = "folders:autodesk.bim360:Folder"
    children: list[Folder | Item] = field(default_factory=list)
    hidden: bool = False
    service: bool = False
    included: str = "normal"
    user: tuple[str, str] = ("", "")
    allowed_types: tuple[str, ...] = ()
    visible_types: tuple[str, ...] = ()
    revoked: bool = False
    leaks: bool = False
    """Listed although it is hidden (facts 8.2, 8.4)."""
    levels: dict[str, str] = field(default_factory=dict)
    """User id, or ``*`` for everybody, to view, upload, edit or admin; holds below it, too."""
    original_name: str | None = None
    """While it is hidden its name is a GUID."""
    naming: str = ""
    """A pattern (as of ``fnmatch``) that its files' names have to match; empty for none."""
    refuses_odd_names: bool = False
    """Other names are refused; otherwise they land in the holding area."""
    listed_from_s: float = 0.0

    @property
    def folders(self) -> list[Folder]:
        return [child for child in self.children if isinstance(child, Folder)]

    @property
    def items(self) -> list[Item]:
        return [child for child in self.children if isinstance(child, Item)]


@dataclass(slots=True, eq=False)
class Project:
    """A project. ``top`` are its top folders where they are not the root's own children."""

    id: str
    name: str
    hub: Hub
    type: str
    project_type: str = ""
    root: Folder = field(init=False)
    top: list[Folder] | None = None
    active: bool = True
    lingers: bool = False
    """Still in the list of projects although no longer active."""
    not_ready: int = 0
    """How many more times topFolders answers 404, as a fresh project does (facts 2)."""
    revoked: bool = False

    @property
    def top_folders(self) -> list[Folder]:
        return self.root.folders if self.top is None else self.top


@dataclass(slots=True, eq=False)
class Hub:
    """An account (``b.``) or a team or a person (``a.``)."""

    id: str
    name: str
    type: str
    region: str
    projects: list[Project] = field(default_factory=list)

    @property
    def is_account(self) -> bool:
        return self.id.startswith("b.")


@dataclass(frozen=True, slots=True, eq=False)
class End:
    """One end of a reference: a folder, an item, or a version of it."""

    node: Folder | Item
    version: Version | None = None
    follows: bool = False
    """Whichever version is the tip."""

    @property
    def at(self) -> Version | None:
        return self.node.tip if self.follows and isinstance(self.node, Item) else self.version

    @property
    def type(self) -> str:
        if isinstance(self.node, Folder):
            return "folders"
        return "items" if self.at is None else "versions"

    @property
    def id(self) -> str:
        return self.node.id if self.at is None else self.at.id


@dataclass(frozen=True, slots=True, eq=False)
class Ref:
    """Data flow from ``source`` to ``target``: a drawing refers to what it shows of another."""

    XREF: ClassVar[str] = "xrefs:autodesk.core:Xref"
    kind: str
    source: End
    target: End
    extension_type: str = XREF
    extension_version: str = "1.0"
    data: Json = field(default_factory=dict)


class Noted(NamedTuple):
    """What was so of a thing from a moment (seconds since the epoch) on.

    ``hidden``: deleted, or of a project: no longer active. Of an item: its tip and its name then.
    """

    at_s: float
    name: str | None
    above: Folder | Project | Hub | None
    hidden: bool = False
    tip: Version | None = None


class World:
    """All hubs, and an index of everything by id. ``generation`` counts changes.

    ``past`` is a record of its own: what was so when, by id, oldest first. No answer of the service
    is made of it but that of its search, which may lag.
    """

    def __init__(self) -> None:
        self.hubs: list[Hub] = []
        self.projects: dict[str, Project] = {}
        self.folders: dict[str, Folder] = {}
        self.items: dict[str, Item] = {}
        self.versions: dict[str, tuple[Item, Version]] = {}
        self.storages: dict[str, Storage] = {}
        self.owners: dict[str, Item] = {}
        """By storage URN: the first item that has these bytes; its rights are theirs."""
        self.refs: list[Ref] = []
        self.past: dict[str, list[Noted]] = {}
        self.generation = 0

    def hub(self, hub_id: str) -> Hub | None:
        return next((hub for hub in self.hubs if hub.id == hub_id), None)

    def add_version(self, item: Item, version: Version) -> None:
        """Append a version to its item and index it and its storage."""
        item.versions.append(version)
        self.versions[version.id] = (item, version)
        if version.storage is not None:
            self.storages[version.storage.urn] = version.storage
            self.owners.setdefault(version.storage.urn, item)

    def note(self, node: Hub | Project | Folder | Item, at_s: float) -> None:
        """Write down how a thing is from that moment on, to the microsecond as times are served."""
        at_s = times.exact(at_s)
        rows = self.past.setdefault(node.id, [])
        rows.append(_noted(node, max(at_s, rows[-1].at_s) if rows else at_s))

    def note_rest(self) -> None:
        """What was made of things after they were noted has been so since then."""
        nodes: list[Hub | Project | Folder | Item] = [*self.hubs, *self.projects.values()]
        for node in (*nodes, *self.folders.values(), *self.items.values()):
            rows = self.past[node.id]
            now = _noted(node, rows[-1].at_s)
            if rows[-1] != now:
                rows[-1] = now


def name_of(item: Item) -> str | None:
    """The name of its tip; where that has none, what the item is shown as."""
    return item.display_name if item.tip.name is None else item.tip.name


def _noted(node: Hub | Project | Folder | Item, at_s: float) -> Noted:
    if isinstance(node, Hub):
        return Noted(at_s, node.name, None)
    if isinstance(node, Project):
        return Noted(at_s, node.name, node.hub, not node.active)
    if isinstance(node, Folder):
        return Noted(at_s, node.name, node.parent or node.project, node.hidden)
    return Noted(at_s, name_of(node), node.parent, node.hidden, node.tip)


def ancestors(node: Folder | Item) -> Iterator[Folder]:
    """The parent, its parent, and so on up to the project's root."""
    at = node.parent
    while at is not None:
        yield at
        at = at.parent


def is_revoked(node: Folder | Item) -> bool:
    return node.revoked or any(folder.revoked for folder in ancestors(node))


def project_of(node: Folder | Item) -> Project:
    return node.project if isinstance(node, Folder) else node.parent.project
