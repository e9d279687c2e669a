"""Rows of the journal that tell of folders, as an earlier run has left them."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import trio

from dmfs.model import Folder, FolderId, Project
from dmfs.namespace.listing_codec import BadRecordError, decode_node
from dmfs.system.clock import wall_time_s
from dmfs.write.records import Row

log = logging.getLogger(__name__)


def row_key(folder_id: str, owner: str, key: str) -> str:
    """Of a folder's row. ``owner``: the sign-in whose change it is."""
    return f"{folder_id}@{owner}/{key}"


def parts_of_key(key: str) -> tuple[FolderId, str, str]:
    """Folder, sign-in, and the key within the folder."""
    outer, _, inner = key.partition("/")
    folder_id, _, owner = outer.partition("@")
    return FolderId(folder_id), owner, inner


def by_folder(
    rows: Mapping[str, Row], owner: str | None
) -> Mapping[FolderId, dict[str, Mapping[str, Any]]]:
    """Rows of a sign-in (None: of all) by their folder, and then by the rest of the key."""
    found: dict[FolderId, dict[str, Mapping[str, Any]]] = {}
    for key, row in rows.items():
        folder_id, whose, inner = parts_of_key(key)
        if owner is None or whose == owner:
            found.setdefault(folder_id, {})[inner] = row.record
    return found


@contextmanager
def if_readable(what: str) -> Iterator[None]:
    """Leaves rows of another shape out, with a line in the log."""
    try:
        yield
    except (KeyError, TypeError, ValueError, BadRecordError):
        log.exception("rows of a folder's %s cannot be read", what)


def in_our_time(record: Mapping[str, Any]) -> Mapping[str, Any]:
    """A name's row. trio's clock starts anew, and anywhere, with each process: rows of several
    processes are brought together by the wall clock."""
    row = dict(record["row"])
    ago_s = max(0.0, wall_time_s() - float(record["at_s"]))
    shift_s = trio.current_time() - ago_s - float(record["now"])
    for key in ("began_at", "touched_at", "settled_at", "at"):
        if row.get(key):
            row[key] += shift_s
    return row


def directory_of(records: Mapping[str, Mapping[str, Any]]) -> Folder | Project:
    """The directory that rows are of. TypeError, BadRecordError."""
    directory = decode_node(str(next(iter(records.values()))["directory"]))
    if not isinstance(directory, Folder | Project):
        raise TypeError(type(directory))
    return directory
