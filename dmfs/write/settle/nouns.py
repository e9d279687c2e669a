"""What settling looks at, the names of one folder that writing has touched, and what it decides:
steps, in the order in which they are safe. Pure.

All times are seconds of one clock, whichever the caller has.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal

from dmfs.model import File, ItemId, VersionId
from dmfs.write.records import Base, DraftId
from dmfs.write.settle.local_names import LocalNames


@dataclass(frozen=True, slots=True)
class Item:
    """A file of the service, as it is known there now."""

    item_id: ItemId
    version_id: VersionId
    """Its tip; of an alias, the version that the alias shows."""
    name: str
    """The service's own spelling."""
    number: int = 0
    """Of the version, as far as known."""

    @classmethod
    def of(cls, file: File) -> Item:
        """A file of a listing."""
        return cls(file.item_id, file.version_id, file.name, file.version_number or 0)

    @classmethod
    def of_base(cls, base: Base) -> Item:
        """What a draft was opened from."""
        return cls(base.item_id, base.version_id, base.name, base.number)


@dataclass(frozen=True, slots=True)
class DraftState:
    """Of a draft, as far as settling cares."""

    id: DraftId
    size_bytes: int
    generation: int
    """The last confirmed one; 0: none yet."""
    own: Item | None = None
    """The item that it was opened from, as long as no other name has taken that over."""
    uploaded_generation: int = 0
    """The last one that is a version of ``own``."""
    open_writers: int = 0
    """Handles that have written to it and are still open. One that was opened for writing and did
    not write does not count."""
    made_at: float = 0.0
    synced_at: float | None = None
    """When fsync(2) confirmed the first generation that has not gone up yet, if one did."""
    on_hold: str = ""
    """Why it must not go up now, in words: it failed and waits for a person …"""

    @property
    def has_news(self) -> bool:
        return self.generation > self.uploaded_generation


@dataclass(frozen=True, slots=True)
class NameState:
    """A name that writing has touched; neither a draft nor an item: nothing stands there now."""

    name: str
    """As the mount shows it."""
    draft: DraftState | None = None
    clean: Item | None = None
    """An item whose bytes were not changed stands here."""
    was: Item | None = None
    """The item that has this name on the service."""
    began_at: float = 0.0
    """When it was touched first since it last agreed with the service."""
    touched_at: float = 0.0
    partners: frozenset[str] = frozenset()
    """Names that a rename connected it with."""
    origins: tuple[str, ...] = ()
    """Names that its content had before, since it last agreed with the service."""
    alias: bool = False
    """``clean`` is an old version; the item itself stands elsewhere."""
    local: bool = False
    """It was found to be local, and has had the same content since."""

    @property
    def empty(self) -> bool:
        return self.draft is None and self.clean is None


@dataclass(frozen=True, slots=True)
class AbsentItem:
    """An item that a user no longer sees: unlinked, or renamed over."""

    item: Item
    name: str
    """The last one in the mount."""
    at: float


@dataclass(frozen=True, slots=True)
class FolderState:
    """A folder at one moment."""

    kind: Literal["a", "b"]
    """Of the project: in ``a.`` nothing is deleted and nothing copied."""
    names: Mapping[str, NameState]
    absent: Sequence[AbsentItem] = ()
    siblings: Set[str] = frozenset()
    """All names in the folder, touched or not; as they are when it is looked into."""
    made_folder: bool = True
    """The service has the folder."""
    local: bool = False
    """All that is in the folder stays on this machine."""
    posted_at: Mapping[ItemId, float] = field(default_factory=dict)
    """When a version of an item last went up from here."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How long what is waited for, and how much is done without a second look."""

    upload_delay_s: float = 5.0
    """Quiet in the folder."""
    empty_delay_s: float = 30.0
    """For a draft of 0 bytes, which most often is about to be filled."""
    unclear_delay_s: float = 30.0
    """For a name like a program's own, of which nothing else says what it is."""
    busy_cap_s: float = 60.0
    """After so long, a name goes up when it alone is quiet."""
    version_interval_s: float = 60.0
    open_upload_after_s: float = 600.0
    """A file that stays open goes up so long after an fsync."""
    bulk_deletes: int = 50
    """More in one folder wait for ``bulk_hold_s``."""
    bulk_hold_s: float = 60.0
    cut_dance_hold_s: float = 600.0
    """A delete waits so long while a temporary file of the same moment is there: a program may
    have died between the two halves of its save."""
    local_names: LocalNames = field(default_factory=LocalNames)


@dataclass(frozen=True, slots=True)
class UploadNewItem:
    """The draft becomes a new item."""

    draft: DraftId
    place: str
    """The name in the mount, here and below."""
    name: str
    """The name to be posted, here and below."""


@dataclass(frozen=True, slots=True)
class UploadNewVersion:
    """The draft becomes the next version of ``item``; under another name if it was renamed too."""

    draft: DraftId
    item: Item
    place: str
    name: str


@dataclass(frozen=True, slots=True)
class KeepLocal:
    """What stands under ``place`` never goes up as long as it has that name."""

    place: str
    content: DraftId | Item
    why: str = field(compare=False, default="")


@dataclass(frozen=True, slots=True)
class CopyItem:
    """``version_id`` of ``item`` becomes a new item: the item itself stays with its old name."""

    item: Item
    place: str
    name: str


@dataclass(frozen=True, slots=True)
class MakeDraft:
    """The version ``item`` that stands under ``place`` has to become the next one of another item:
    whose name that is, or of its own, where it is an old one. Nothing goes up yet: a draft is to be
    made of all of its bytes, as for writing, and confirmed; then ``FolderNames.create`` with
    ``own=item``."""

    item: Item
    place: str


@dataclass(frozen=True, slots=True)
class RenameItem:
    """Without new bytes. ``place`` is '' if the name is one of passage: two items change theirs."""

    item: Item
    place: str
    name: str


@dataclass(frozen=True, slots=True)
class DeleteItem:
    """Only if all steps before it succeeded."""

    item: Item
    place: str


@dataclass(frozen=True, slots=True)
class ShowAgain:
    """An item was removed where the service cannot delete, and nothing took its name: it is seen
    again. Nothing is to be done for it but ``FolderNames.done``. ``place``: '' if nothing here
    tells which name it has on the service: it is seen where that is listed."""

    item: Item
    place: str


@dataclass(frozen=True, slots=True)
class HoldDeletes:
    """So many deletes at once wait until ``until``, and somebody should be told."""

    count: int
    until: float


Step = (
    UploadNewItem
    | UploadNewVersion
    | KeepLocal
    | CopyItem
    | MakeDraft
    | RenameItem
    | DeleteItem
    | ShowAgain
    | HoldDeletes
)


@dataclass(frozen=True, slots=True)
class Plan:
    """``steps`` may be carried out one after the other, and the folder settled anew at any point
    between them. Those of a plan that were begun and are not done yet come again in the next."""

    steps: Sequence[Step]
    next_look_at: float | None
    """When time alone makes the next plan another one."""
    reasons: Mapping[str, str]
    """Name → why nothing is done about it now, in words."""
