"""Spools for tests: small units, so that a few hundred bytes cross every edge."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from dmfs.write.records import Change, DraftId
from dmfs.write.spool import content, data_file, extents, sums
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


def draft_row(draft_id: DraftId, **words: Any) -> Change:
    return Change("draft", draft_id, {"place": {"name": "plan.dwg", "folder": "f"}, **words})


def no_rows(_: Confirmed) -> list[Change]:
    return []


async def whole(spool: Spool, draft_id: DraftId) -> bytes | None:
    """All bytes of a draft, None if there is no such one."""
    found = spool.content(draft_id)
    return None if found is None else await found.read(0, found.size_bytes + 10, read_base)


def small_units(patch: pytest.MonkeyPatch) -> None:
    """Chunks of 256 bytes, units of 32, a tail of 64."""
    patch.setattr(extents, "CHUNK_BYTES", 256)
    patch.setattr(sums, "UNIT_BYTES", 32)
    patch.setattr(sums, "PAGE_UNITS", 4)
    patch.setattr(data_file, "UNIT_BYTES", 32)
    patch.setattr(data_file, "TAIL_BYTES", 64)
    patch.setattr(data_file, "SMALL_BYTES", 16)
    patch.setattr(data_file, "_JOINED_BYTES", 48)
    patch.setattr(data_file, "UNSYNCED_BYTES", 300)
    patch.setattr(content, "GARBAGE_BYTES", 128)
