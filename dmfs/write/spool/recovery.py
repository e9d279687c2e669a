"""A spool at its start: what the journal says, held against what is on the disk. All blocks.

Only what is confirmed counts: data files are cut to their confirmed length, files and directories
that no row names go. Nothing goes that could be the only copy of what was confirmed.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dmfs.system.clock import wall_time_s
from dmfs.write.records import DraftId
from dmfs.write.spool.card import CARD, has_confirmed_bytes
from dmfs.write.spool.content import Content
from dmfs.write.spool.data_file import Services
from dmfs.write.spool.disk import open_directory, remove_files
from dmfs.write.spool.extents import Chunk, ExtentMap
from dmfs.write.spool.journal import DISCARD, EXTENTS, REMOVE, STAYS, SUMS, Contents
from dmfs.write.spool.snapshot import KIND, Generation
from dmfs.write.spool.sums import Sums

DISCARDED = "discarded"
_NAME = re.compile(r"[0-9a-f]{32}")
DISCARDED_S = 7 * 86400.0
"""So long what a person discarded can be had back by hand."""


class Recovered(NamedTuple):
    """What a start found."""

    contents: dict[DraftId, Content]
    damaged: dict[DraftId, str]
    """What is wrong with the bytes of some."""
    strays: list[str]
    """Directories with confirmed bytes that the journal does not know."""
    left: list[DraftId]
    """Those whose directory is gone now as it was to be."""


def recover(found: Contents, services: Services) -> Recovered:
    """Contents as they were confirmed; the directory is tidied."""
    contents: dict[DraftId, Content] = {}
    damaged: dict[DraftId, str] = {}
    for key, row in found.rows.get(KIND, {}).items():
        draft_id = DraftId(key)
        try:
            content, words = _content(draft_id, row.record, found, services)
        except (ValueError, KeyError, TypeError) as error:
            damaged[draft_id] = f"its row cannot be read ({error})"
            continue
        draft = found.rows.get("draft", {}).get(key)
        content.know(None if draft is None else draft.record)
        contents[draft_id] = content
        if words:
            damaged[draft_id] = words
    strays, left = _tidy(found, set(contents) | set(damaged), services.directory)
    return Recovered(contents, damaged, strays, left)


def _content(
    draft_id: DraftId, record: Mapping[str, Any], found: Contents, services: Services
) -> tuple[Content, str]:
    generation = generation_of(draft_id, record, found, services)
    words = _cut(generation.file.path, generation.mark.end)
    _remove_others(generation.file.path)
    return Content.recovered(draft_id, services, generation, words), words


def generation_of(
    draft_id: DraftId, record: Mapping[str, Any], found: Contents, services: Services
) -> Generation:
    """What was confirmed last, by the journal alone. ValueError, KeyError, TypeError."""
    number, end = int(record["file"]), int(record["data_bytes"])
    extents = {
        each: Chunk.decode(each, blob)
        for each, blob in found.pieces.get((draft_id, EXTENTS), {}).items()
    }
    sums = Sums(f"{draft_id} {number}")
    sums.load(found.pieces.get((draft_id, SUMS), {}), end)
    return Generation(
        int(record["generation"]), int(record["size_bytes"]), int(record["mtime_ns"]),
        ExtentMap(int(record["base_bytes"]), extents),
        services.new_file(draft_id, number, sums), sums.mark,
    )  # fmt: skip


def _cut(path: Path, end: int) -> str:
    """Cut a data file to what is confirmed; words if that is not there."""
    if not end:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
        return ""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            status = os.fstat(descriptor)
            if status.st_size > end:
                os.ftruncate(descriptor, end)
        finally:
            os.close(descriptor)
    except OSError as error:
        return f"{path} cannot be used: {error.strerror or error}"
    if not stat.S_ISREG(status.st_mode) or status.st_size < end:
        return f"{path} has only {status.st_size} of {end} bytes"
    return ""


def _remove_others(path: Path) -> None:
    """Data files of a draft that no row names: of a confirmation that did not come to its end."""
    with contextlib.suppress(OSError):
        for each in path.parent.iterdir():
            if each.name not in (path.name, CARD):
                each.unlink()


def _tidy(found: Contents, known: set[DraftId], directory: Path) -> tuple[list[str], list[DraftId]]:
    strays = []
    for each in draft_directories(directory):
        draft_id = DraftId(each.name)
        how = found.leaving.get(draft_id)
        if how == DISCARD:
            move_to_discarded(directory, draft_id)
        elif how == REMOVE:
            remove_files(each)
        elif how == STAYS or (draft_id not in known and has_confirmed_bytes(each)):
            strays.append(each.name)
        elif draft_id not in known:
            remove_files(each)
    left = [
        draft_id for draft_id in found.leaving if not (directory / draft_id).exists()
    ]  # fmt: skip
    return strays, left


def draft_directories(directory: Path) -> Iterator[Path]:
    """Those of drafts, by their names: what else a person put there is theirs. OSError."""
    with os.scandir(directory) as entries:
        names = [
            each.name for each in entries
            if _NAME.fullmatch(each.name) and each.is_dir(follow_symlinks=False)
        ]  # fmt: skip
    yield from (directory / name for name in sorted(names))


def move_to_discarded(directory: Path, draft_id: DraftId) -> None:
    """Give a draft's directory to the discarded ones; nothing to be done where there is none.
    OSError."""
    place = directory / DISCARDED
    with contextlib.suppress(FileExistsError):
        place.mkdir(mode=0o700)
    os.close(open_directory(place))  # a directory, and no link
    source, target = directory / draft_id, place / draft_id
    if not source.exists():
        return
    if target.exists():
        remove_files(target)
    source.rename(target)
    os.utime(target)


def prune_discarded(directory: Path) -> None:
    """Remove what was discarded long ago."""
    oldest_s = wall_time_s() - DISCARDED_S
    with contextlib.suppress(OSError):
        for each in draft_directories(directory / DISCARDED):
            if each.lstat().st_mtime < oldest_s:
                remove_files(each)


def all_names(directory: Path) -> dict[DraftId, str | None]:
    """Every draft's directory, to stay whatever a new journal says."""
    return {DraftId(each.name): STAYS for each in draft_directories(directory)}
