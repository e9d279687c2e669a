"""``card.json`` beside a draft's bytes: what they are, for a person who has no journal any more."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

CARD = "card.json"
_READ_BYTES = 64 * 1024 * 1024
ABOUT = (
    "bytes that were saved on a dmfs drive; if \"whole\" is true, the first \"size_bytes\" bytes of"
    " the file \"data\" are the saved file, otherwise put it together by \"extents\""
    " ([offset, length, offset in the data file]; what is missing is the base version's up to"
    " \"base_bytes\", then zeros; null: they are too many, only the journal has them)"
)  # fmt: skip


def make_card(
    *,
    draft: Mapping[str, Any] | None,
    data: str,
    size_bytes: int,
    generation: int,
    mtime_ns: int,
    whole: bool,
    base_bytes: int,
    extents: Sequence[tuple[int, int, int]] | None,
) -> dict[str, Any]:
    """The card; ``draft`` is the draft's row of the journal, as far as it is known. Pure."""
    draft = draft or {}
    place, base = draft.get("place") or {}, draft.get("base") or {}
    return {
        "about": ABOUT,
        "name": place.get("name", ""),
        "hub": place.get("hub_id", ""),
        "project": place.get("project_id", ""),
        "folder": place.get("folder", ""),
        "item": base.get("item_id", ""),
        "base_version": base.get("version_id", ""),
        "base_number": base.get("number", 0),
        "base_bytes": base_bytes,
        "size_bytes": size_bytes,
        "mtime_ns": mtime_ns,
        "generation": generation,
        "data": data,
        "whole": whole,
        "extents": extents,
    }  # fmt: skip


def write_card(directory: Path, card: Mapping[str, Any]) -> None:
    """Replace the card. Blocks; OSError."""
    fresh = directory / f"{CARD}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    descriptor = os.open(fresh, flags, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(card, file, indent=1, ensure_ascii=True)
        file.write("\n")
    fresh.replace(directory / CARD)


def read_card(directory: Path) -> dict[str, Any]:
    """The card of a draft's directory; empty where there is none that can be read. Blocks."""
    with contextlib.suppress(OSError, ValueError):
        descriptor = os.open(directory / CARD, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        with os.fdopen(descriptor, encoding="utf-8") as file:
            found = json.loads(file.read(_READ_BYTES))
        if isinstance(found, dict):
            return found
    return {}


def has_confirmed_bytes(directory: Path) -> bool:
    """Whether a directory without a row in the journal is somebody's work. Blocks."""
    generation = read_card(directory).get("generation")
    return isinstance(generation, int) and generation > 0


def whole_file(directory: Path) -> Path | None:
    """The data file of a draft's directory if its first ``size_bytes`` are the saved file as it is
    (``size_bytes`` stands in the card); None if it has to be put together. Blocks."""
    card = read_card(directory)
    name, size_bytes = card.get("data"), card.get("size_bytes")
    if card.get("whole") is not True or not isinstance(name, str) or "/" in name:
        return None
    try:
        found = (directory / name).lstat().st_size
    except OSError:
        return None
    return directory / name if isinstance(size_bytes, int) and found >= size_bytes else None
