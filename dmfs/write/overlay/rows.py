"""Rows of the journal that tell of folders, as an earlier run has left them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio

from dmfs.model import Folder, Project
from dmfs.namespace.listing_codec import decode_node
from dmfs.system.clock import wall_time_s
from dmfs.write.records import Row


def by_folder(rows: Mapping[str, Row]) -> Mapping[str, dict[str, Mapping[str, Any]]]:
    """Rows whose keys begin with a folder's id, by that, and then by the rest of the key."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for key, row in rows.items():
        folder_id, _, inner = key.partition("/")
        found.setdefault(folder_id, {})[inner] = row.record
    return found


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
