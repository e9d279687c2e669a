"""What ``find`` tells of an entry: plain data for a line of JSON. Pure."""

from __future__ import annotations

from typing import Any

from dmfs.names import check_name
from dmfs.system.clock import iso_time

Entry = dict[str, Any]
ROOT_NAME = "/"


def entry(path: str, kind: str, size_bytes: int | None, mtime_ns: int) -> Entry:
    """``path`` in the drive, ``type`` (as ``dmfs ls --json``), of files ``size`` in bytes, and
    ``mtime`` in ISO 8601 where one is known."""
    found: Entry = {"path": path, "type": kind}
    if size_bytes is not None:
        found["size"] = size_bytes
    if mtime_ns:
        found["mtime"] = iso_time(mtime_ns)
    return found


def parts_of(path: str) -> list[str]:
    """The names on the way to a path. NameTooLongError."""
    parts = [part for part in path.split("/") if part and part != "."]
    for part in parts:
        check_name(part)
    return parts


def name_of(path: str) -> str:
    """The last name of a path; of the root, ``/``, as find(1) has it."""
    return path.rpartition("/")[2] or ROOT_NAME


def below(path: str, name: str) -> str:
    """The path of an entry of a directory."""
    return f"{path}{name}" if path == ROOT_NAME else f"{path}/{name}"
