"""Designs, and what was made of them, as data. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from dmfs.compact import shorten
from dmfs.model import (
    File,
    Listing,
    Shortcut,
    StorageId,
    VersionId,
    link_ids,
    version_ids,
)
from dmfs.names import NAME_MAX_BYTES, with_suffix

DESIGN_TYPES = frozenset({"Design", "Drawing"})
"""Last parts of the extension types that the service makes files of."""
SHORTCUT = ".url"

NOWHERE = StorageId("")
State = Literal["posting", "doubt", "posted", "ready", "failed"]
"""Of an export: about to be ordered, perhaps ordered, ordered, made, refused or failed."""


class Key(NamedTuple):
    """One export: a version is made into a format once."""

    project_id: str
    version_id: str
    format: str


@dataclass(frozen=True, slots=True)
class ExportedFile(File):
    """What a job of the service made of a design's version. It has ids of the design, and bytes of
    its own."""

    export_format: str = ""

    @property
    def identity(self) -> str:
        return f"export {self.project_id} {self.version_id} {self.export_format}"


@dataclass(frozen=True, slots=True)
class Export:
    """An export as the store has it. Times are seconds of the wall clock."""

    design: Shortcut
    format: str
    state: State
    since_s: float
    """Of this state; of an order, when it was posted."""
    job_id: str = ""
    reason: str = ""
    """Why it failed."""
    storage_id: StorageId = NOWHERE
    size_bytes: int | None = None
    sha1: str = ""
    keep: bool = False
    """Whether it is to be shown in the drive."""
    shown: bool = False
    """Whether it is: its bytes are here, or were there at the last look."""
    warned_s: float = 0.0
    """When a person was warned that it is in doubt; 0: never."""

    @property
    def key(self) -> Key:
        return key_of(self.design, self.format)

    @property
    def file(self) -> ExportedFile:
        """What can be opened, of one that is ready."""
        return exported(self.design, self.format, self.storage_id, self.size_bytes)


def key_of(design: Shortcut, file_type: str) -> Key:
    return Key(design.project_id, design.version_id or "", file_type)


def is_design(node: object) -> bool:
    """Whether the service makes files of an entry that has no bytes of its own."""
    if not isinstance(node, Shortcut) or not node.version_id:
        return False
    return node.extension_type.rpartition(":")[2] in DESIGN_TYPES


def designs_of(listing: Listing) -> dict[str, Shortcut]:
    """The designs of a directory by their names in the drive."""
    return {
        name: node
        for name, node in listing.entries.items()
        if isinstance(node, Shortcut) and is_design(node)
    }


def exported(
    design: Shortcut, file_type: str, storage_id: StorageId, size_bytes: int | None
) -> ExportedFile:
    """The file of an export, of the time of its version."""
    ids = link_ids(design.project_id, design.folder_id, design.item_id)
    return ExportedFile(
        item_id=design.item_id,
        version=shorten(design.version_id or VersionId(""), version_ids(design.item_id)),
        storage_id=storage_id,
        folder_id=design.folder_id,
        project_id=design.project_id,
        hub_id=design.hub_id,
        name=export_name(design.name, file_type, design.item_id),
        size_bytes=size_bytes,
        mtime_ns=design.mtime_ns,
        created_ns=design.created_ns,
        version_number=design.version_number,
        created_by=design.created_by,
        extension_type=design.extension_type,
        link=shorten(design.web_url, ids),
        export_format=file_type,
    )


def export_name(shortcut_name: str, file_type: str, item_id: str) -> str:
    """``Bracket.url`` as ``Bracket.f3z``; within 255 bytes."""
    name = f"{shortcut_name.removesuffix(SHORTCUT)}.{file_type}"
    return name if len(name.encode()) <= NAME_MAX_BYTES else with_suffix(name, item_id)
