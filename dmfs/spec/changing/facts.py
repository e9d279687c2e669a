"""What fsspec is told of a file that may be written to."""

from __future__ import annotations

from typing import Any

from dmfs.drive import Drive
from dmfs.errors import DriveError
from dmfs.model import File
from dmfs.names import printable
from dmfs.spec.facts import NS, facts_of
from dmfs.write.writing import Writing

OF_A_VERSION = ("version_id", "version_number", "storage_id")


def written_facts(drive: Drive, writing: Writing, path: str, node: File) -> dict[str, Any]:
    """As ``facts_of``: what a read gives now. What the service does not have yet has no version."""
    stat = drive.stat(node)
    found = facts_of(path, writing.now(node), stat.size_bytes)
    found["mtime"] = stat.mtime_ns / NS
    if not writing.is_clean(node):
        for each in OF_A_VERSION:
            found.pop(each, None)
    return found


def require_clean(drive: Drive, file: File) -> None:
    """DriveError for what the service does not have yet."""
    writing = drive.writing
    if writing is not None and not writing.is_clean(file):
        raise DriveError(
            f"{printable(file.name)!r} has not gone up yet", hint="settle() waits until it has"
        )
