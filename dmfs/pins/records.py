"""Pins and the files that they want, as data, and as texts for the disk. Pure."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dmfs.model import Directory, File, StorageId
from dmfs.namespace.listing_codec import BadRecordError, decode_node, encode_node

log = logging.getLogger(__name__)

Kind = Literal["project", "folder", "item", "version"]
Key = tuple[str, str]
"""Project and item; of what is kept as it was, the version in place of the item."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pin is."""

    state: str = "listing"
    """``listing``, ``fetching``, ``complete``, ``waiting`` (offline, signed out), ``no room``,
    ``failed`` (and tried again), ``gone``."""
    error: str = ""
    files: int = 0
    files_done: int = 0
    bytes: int = 0
    bytes_done: int = 0


@dataclass(frozen=True, slots=True)
class Pin:
    """An intention: keep this, whole and newest."""

    kind: Kind
    project_id: str
    node_id: str
    """Of a project, a folder, an item or a version."""
    label: str
    """Its path when it was pinned, for people."""
    node: Directory | File
    chain: Sequence[Directory]
    """The directories above it, the drive's top first."""
    since_s: float = 0.0
    progress: Progress = Progress()
    id: int = 0
    export: str = ""
    """The format as which the designs below it are kept; '' for none."""

    @property
    def top(self) -> Directory:
        """Where a walk over what is pinned begins: itself or, of an item, its folder."""
        return self.chain[-1] if isinstance(self.node, File) else self.node


@dataclass(frozen=True, slots=True)
class PinnedFile:
    """An item that is wanted, by the versions that are held."""

    project_id: str
    item_id: str
    directory: str
    """The identity of the directory that lists it."""
    whole: File | None = None
    coming: File | None = None
    error: str = ""

    @property
    def key(self) -> Key:
        return self.project_id, self.item_id

    @property
    def storage_ids(self) -> set[StorageId]:
        """What is held of it."""
        return {each.storage_id for each in (self.whole, self.coming) if each is not None}


@dataclass(frozen=True)
class Contents:
    """All that is known of one sign-in's pins."""

    pins: Sequence[Pin] = ()
    files: dict[Key, PinnedFile] = field(default_factory=dict)
    others: frozenset[StorageId] = frozenset()
    """What is held for other sign-ins."""
    leaving: frozenset[StorageId] = frozenset()
    unread: int = 0
    """Pins that cannot be read: what they want is not known, and stays."""


def clean(text: str) -> str:
    """Lone surrogates of a command line are no text for SQLite."""
    return text.encode("utf-8", "backslashreplace").decode()


def chain_text(chain: Sequence[Directory]) -> str:
    return json.dumps([encode_node(each) for each in chain])


def pin_of(row: Sequence[Any]) -> Pin | None:
    """The pin of a row; None for one that no release writes."""
    number, _, kind, project_id, node_id, label, since, node, chain, *rest, export = row
    try:
        above = [decode_node(each) for each in json.loads(chain)]
        return Pin(
            kind, project_id, node_id, label, decode_node(node), above,  # type: ignore[arg-type]
            since, Progress(*rest), number, export,
        )  # fmt: skip
    except (BadRecordError, ValueError, TypeError) as error:
        log.warning("a pin of %r cannot be read (%s)", label, error)
        return None


def file_of(row: Sequence[Any]) -> PinnedFile | None:
    """The file of a row; None for one that no release writes."""
    _, project_id, item_id, directory, whole, _, coming, _, error = row
    try:
        return PinnedFile(project_id, item_id, directory, _version(whole), _version(coming), error)
    except (BadRecordError, ValueError, TypeError) as bad:
        log.info("what is pinned of an item cannot be read (%s); it is fetched again", bad)
        return None


def _version(text: str) -> File | None:
    node = decode_node(text) if text else None
    if node is not None and not isinstance(node, File):
        raise BadRecordError("not a file")
    return node


def row_of(scope: str, file: PinnedFile) -> tuple[str, ...]:
    whole, coming = file.whole, file.coming
    return (
        scope, file.project_id, file.item_id, file.directory,
        "" if whole is None else encode_node(whole), "" if whole is None else whole.storage_id,
        "" if coming is None else encode_node(coming), "" if coming is None else coming.storage_id,
        clean(file.error),
    )  # fmt: skip


def with_error(file: PinnedFile, error: str) -> PinnedFile:
    """The same, with the last error of its fetch."""
    return file if file.error == error else replace(file, error=error)


def directories_of(pins: Iterable[Pin]) -> list[Directory]:
    """Those above pins, the drive's top first."""
    found: dict[str, Directory] = {}
    for pin in pins:
        for each in (*pin.chain, pin.top):
            found.setdefault(each.identity, each)
    return list(found.values())
