"""Spools for tests: small units, so that a few hundred bytes cross every edge."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmfs.write.records import Change, DraftId
from dmfs.write.spool import content as content_file
from dmfs.write.spool import data_file, extents, sums
from dmfs.write.spool.content import Content
from dmfs.write.spool.snapshot import Confirmed
from dmfs.write.spool.spool import Spool

ONE, TWO = DraftId("1" * 32), DraftId("2" * 32)
BASE = random.Random(7).randbytes(2000)
"""Bytes of a base version."""


def open_spool(directory: Path, **changed: Any) -> Spool:
    wanted: dict[str, Any] = {
        "limit_bytes": 10**12, "free_percent": 0.0, "label": "/mnt/drive", "any_disk": True,
    }  # fmt: skip
    return Spool.open(directory, **{**wanted, **changed})


async def read_base(offset: int, length: int) -> bytes:
    assert offset + length <= len(BASE), "behind the base version's end"
    return BASE[offset : offset + length]


def impatient(spool: Spool, patience_s: float = 0.05) -> None:
    """From now on a call of so long is a hang; a busy machine needs longer for one that is not."""
    for threads in (spool._disk._calls, spool._disk._syncs, spool._commits):
        threads._patience_s = patience_s


def draft_row(draft_id: DraftId, **words: Any) -> Change:
    return Change("draft", draft_id, {"place": {"name": "plan.dwg", "folder": "f"}, **words})


def rows_of(draft_id: DraftId) -> Callable[[Confirmed], list[Change]]:
    return lambda _: [draft_row(draft_id)]


def no_rows(_: Confirmed) -> list[Change]:
    return []


def id_of(each: int) -> DraftId:
    return DraftId(f"{each:032}")


def found(spool: Spool, draft_id: DraftId) -> Content:
    content = spool.content(draft_id)
    assert content is not None
    return content


async def whole(spool: Spool, draft_id: DraftId) -> bytes | None:
    """All bytes of a draft, None if there is no such one."""
    content = spool.content(draft_id)
    return None if content is None else await content.read(0, content.size_bytes + 10, read_base)


def small_units(patch: pytest.MonkeyPatch) -> None:
    """Chunks of 256 bytes, units of 32, a tail of 64."""
    patch.setattr(extents, "CHUNK_BYTES", 256)
    patch.setattr(sums, "UNIT_BYTES", 32)
    patch.setattr(sums, "PAGE_UNITS", 4)
    patch.setattr(data_file, "UNIT_BYTES", 32)
    patch.setattr(data_file, "TAIL_BYTES", 64)
    patch.setattr(data_file, "TAIL_MAX_BYTES", 64)
    patch.setattr(data_file, "SMALL_BYTES", 16)
    patch.setattr(data_file, "_JOINED_BYTES", 48)
    patch.setattr(data_file, "UNSYNCED_BYTES", 300)
    patch.setattr(content_file, "GARBAGE_BYTES", 128)
