"""What an upload needs from the rest of the drive, and what it says to it."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from dmfs.model import (
    File,
    FolderId,
    HubId,
    ItemId,
    Listing,
    Project,
    ProjectId,
    StorageId,
    VersionId,
)
from dmfs.ratelimit.limits import Priority
from dmfs.write.records import Change, Draft, DraftId, Place, State, Target
from dmfs.write.upload.plan.conflicts import Tip

ReadBase = Callable[[int, int], Awaitable[bytes]]
"""``(start, length)`` of the base version."""
ListAgain = Callable[[Place], Awaitable[Listing]]
"""The folder of a place, listed by a request that is sent after the call."""


class PieceLike(Protocol):
    """A stretch of a generation: ``data``, which is in the spool's file, ``hole`` or ``base``."""

    @property
    def kind(self) -> str: ...
    @property
    def length(self) -> int: ...
    @property
    def position(self) -> int: ...


class SnapshotLike(Protocol):
    """A confirmed generation."""

    @property
    def generation(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def needs_base(self) -> bool: ...
    def pieces(self, start: int, stop: int) -> Sequence[PieceLike]: ...
    async def descriptor(self) -> int: ...
    async def read(self, start: int, stop: int, read_base: ReadBase) -> bytes: ...


class Journal(Protocol):
    """The spool, as far as an upload writes to it."""

    async def commit(self, changes: Sequence[Change], *, durable: bool = False) -> None: ...


class PartUrlsLike(Protocol):
    """Of consecutive parts."""

    @property
    def upload_key(self) -> str: ...
    @property
    def urls(self) -> Sequence[str]: ...
    @property
    def expires_at(self) -> float: ...
    @property
    def upload_ends_s(self) -> float: ...


class DetailsLike(Protocol):
    """Of a storage object; ``sha1`` may be ''."""

    @property
    def size_bytes(self) -> int: ...
    @property
    def sha1(self) -> str: ...


class PostedLike(Protocol):
    """A version that the service just made."""

    @property
    def file(self) -> File: ...
    @property
    def conforming(self) -> bool: ...


class Service(Protocol):
    """The calls of ``aps.uploads`` that an upload makes."""

    async def storage(
        self, project_id: ProjectId, target: FolderId | ItemId, name: str
    ) -> StorageId: ...
    async def part_urls(
        self,
        storage_id: StorageId,
        *,
        first: int,
        count: int,
        upload_key: str = "",
        accelerate: bool = True,
    ) -> PartUrlsLike: ...
    async def complete(
        self, storage_id: StorageId, upload_key: str, size_bytes: int, etags: Sequence[str]
    ) -> int: ...
    async def details(self, storage_id: StorageId) -> DetailsLike | None: ...
    async def item(self, project: Project, item_id: ItemId) -> Tip: ...
    async def new_item(
        self,
        project_id: ProjectId,
        folder_id: FolderId,
        name: str,
        storage_id: StorageId,
        *,
        hub_id: HubId,
    ) -> PostedLike: ...
    async def new_version(
        self,
        project_id: ProjectId,
        item_id: ItemId,
        name: str,
        storage_id: StorageId,
        *,
        hub_id: HubId,
    ) -> PostedLike: ...
    async def copy_item(
        self, project_id: ProjectId, folder_id: FolderId, version_id: VersionId, name: str
    ) -> PostedLike: ...


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits of all uploads together and of each."""

    staging: Path
    """A directory of the spool's file system: parts too large for memory are prepared there, in
    files without a name."""
    uploads_at_once: int = 16
    new_items_at_once: int = 10
    large_at_once: int = 10
    large_bytes: int = 64 * 1024**2
    parts_of_all: int = 16
    """One upload alone has all of them; several share them evenly."""
    parts_while_reading: int = 4
    """Of all, while somebody reads."""
    memory_bytes: int = 100 * 1024**2
    staged_bytes: int = 2 * 1024**3
    """On disk; one larger part at a time goes all the same."""
    new_items_a_minute: int = 50
    """0: no limit."""
    call_s: float = 90.0
    """Longer than the calls' own limits, whose errors say more."""
    complete_s: float = 330.0
    part_s: float = 60.0
    """And so much more as a line of ``line_bytes_s`` needs."""
    line_bytes_s: float = 32 * 1024
    patience_s: float = 600.0
    """Longer nobody waits behind smaller ones."""


async def _nothing(*_: Any) -> None:
    pass


def _no_one() -> str:
    return ""


def _no(*_: Any) -> bool:
    return False


def _yes(*_: Any) -> bool:
    return True


def _beside(name: str, taken: Collection[str]) -> str:
    stem, dot, ending = name.rpartition(".")
    stem, end = (stem, dot + ending) if stem else (name, "")
    number = 1
    while f"{stem} (conflict {number}){end}" in taken:
        number += 1
    return f"{stem} (conflict {number}){end}"


def _of_theirs(name: str, number: int, who: str, taken: Collection[str]) -> str:
    stem, dot, ending = name.rpartition(".")
    stem, end = (stem, dot + ending) if stem else (name, "")
    mark = f" (v{number} by {who or 'unknown'})"
    return (
        _beside(f"{stem}{mark}{end}", taken)
        if f"{stem}{mark}{end}" in taken
        else (f"{stem}{mark}{end}")
    )


def _through(_name: str) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Hooks:
    """The rest of the drive; each may be an async function or a plain one."""

    on_state: Callable[[DraftId, State, str], Any] = _nothing
    on_posted: Callable[[DraftId, int, PostedLike, str], Any] = _nothing
    """``(draft, generation, posted, sha1)``: the version is the service's. Awaited before the
    upload's row goes; after a kill it may be called once more for the same version."""
    on_event: Callable[[str, Mapping[str, Any]], Any] = _nothing
    conflict_name: Callable[[str, Collection[str]], str] = _beside
    """``(name, names that are taken)`` → the name of a conflict copy, with the same extension."""
    overtaken_name: Callable[[str, int, str, Collection[str]], str] = _of_theirs
    """``(name, number, who, taken)`` → the name of a version that ours went over."""
    my_user_id: Callable[[], str] = _no_one
    is_signed_in: Callable[[str], bool] = _yes
    """Whether the draft's owner (``Draft.owner``) is who is signed in: nobody uploads another's."""
    version_of: Callable[[File, int], Awaitable[File | None]] | None = None
    """``(tip, number)`` → another version of the same item."""
    somebody_reads: Callable[[], bool] = _no
    failpoint: Callable[[str], None] = _through
    """Called with ``STEP.call.before``, ``STEP.call.after``, ``STEP.commit.before`` and
    ``STEP.commit.after``."""


async def tell(hook: Callable[..., Any], *values: Any) -> Any:
    """Call a hook of either kind."""
    answer = hook(*values)
    return await answer if inspect.isawaitable(answer) else answer


@dataclass(frozen=True, slots=True)
class UploadJob:
    """A generation that is to become a version."""

    draft: Draft
    target: Target
    snapshot: SnapshotLike
    read_base: ReadBase
    """GoneError when the service does not have the base's bytes any more."""
    priority: Priority = Priority.WRITE
    """Of all its calls; a more urgent one where a program waits for the upload."""


class Outcome(NamedTuple):
    """``kind``: posted, conflict (it went up beside), same (the service had these bytes), failed,
    cancelled. ``file``: the version, None for the last two."""

    kind: str
    file: File | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """Of one upload, for ``dmfs uploads``."""

    draft_id: DraftId
    state: State
    reason: str
    done_bytes: int
    size_bytes: int
    rate: float
    """Bytes a second, of the last moments."""
    next_try_s: float
    """Seconds until it goes on; 0: it is going on, or nobody knows."""


@dataclass(frozen=True, slots=True)
class VersionMade:
    """A version that was found instead of answered."""

    file: File
    conforming: bool = field(default=True)

    @property
    def item_id(self) -> ItemId:
        return self.file.item_id
