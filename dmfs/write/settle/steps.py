"""What settling decides: steps, in the order in which they are safe. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dmfs.write.records import DraftId
from dmfs.write.settle.state import Item


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
