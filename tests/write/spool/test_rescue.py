"""Saved bytes without the journal, by the card and as the docs say."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dmfs.write.care.journalled import Journalled
from dmfs.write.spool.card import read_card, whole_file
from tests.support.helpers import real
from tests.write.spool.spooling import BASE, ONE, draft_row, no_rows, open_spool, read_base

DOCS = Path(__file__).resolve().parents[3] / "docs" / "spool.md"


@real
async def test_a_person_finds_the_bytes_by_the_card(tmp_path):
    spool = open_spool(tmp_path / "spool")
    place = tmp_path / "spool" / ONE
    content = spool.create(ONE)
    await content.write(0, b"whole file", mtime_ns=1)
    await content.confirm(lambda _: [draft_row(ONE, base={"item_id": "i", "number": 3})])
    card = read_card(place)
    assert card["name"] == "plan.dwg"
    assert (card["item"], card["base_number"], card["size_bytes"]) == ("i", 3, 10)
    file = whole_file(place)
    assert file is not None
    assert file.read_bytes()[:10] == b"whole file"
    await content.write(2, b"XX", mtime_ns=1)
    await content.confirm(no_rows)
    assert whole_file(place) is None
    card = read_card(place)
    assert (card["generation"], card["base_bytes"]) == (2, 0)
    assert card["extents"] == [[0, 2, 0], [2, 2, 10], [4, 6, 4]]
    content.start_over(0)
    await content.write(0, b"again", mtime_ns=1)
    await content.confirm(no_rows)
    file = whole_file(place)
    assert file is not None
    assert file.read_bytes() == b"again"
    await spool.close()


@real
async def test_a_disk_that_has_become_read_only_gives_what_was_saved(tmp_path, monkeypatch):
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    await content.write(0, b"saved", mtime_ns=1)
    await content.confirm(no_rows)
    await spool.close()
    opens = os.open

    def read_only(path, flags, *more, **names):
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return opens(path, flags, *more, **names)

    monkeypatch.setattr(os, "open", read_only)
    found = Journalled.look(tmp_path / "spool", owner=None)
    assert found is not None
    assert await found.snapshot(ONE).read(0, 5, read_base) == b"saved"


@pytest.mark.process
@real
async def test_the_program_of_the_docs_puts_a_file_together(tmp_path):
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    content.start_over(1500)
    await content.write(100, b"changed", mtime_ns=1)
    await content.write(1700, b"behind a hole", mtime_ns=1)
    await content.write(103, b"again", mtime_ns=1)
    await content.truncate(1900, mtime_ns=1)
    await content.confirm(no_rows)
    expected = await content.read(0, 2000, read_base)
    place = tmp_path / "spool" / ONE
    (place / "BASE_VERSION").write_bytes(BASE)
    found = re.search(r"```python\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)
    assert found is not None
    subprocess.run([sys.executable, "-c", found[1]], cwd=place, check=True)  # noqa: ASYNC221
    assert (place / "rescued").read_bytes() == expected
    assert len(expected) == 1900
    await spool.close()


async def _too_many(content):
    for each in range(250):
        await content.write(each * 10, b"x", mtime_ns=1)


@real
async def test_a_card_stays_small(tmp_path):
    spool = open_spool(tmp_path / "spool")
    content = spool.create(ONE)
    content.start_over(2000)
    await _too_many(content)
    await content.confirm(no_rows)
    place = tmp_path / "spool" / ONE
    assert read_card(place)["extents"] is None
    assert (place / "card.json").stat().st_size < 2000
    await spool.discard(ONE)  # now the journal forgets it
    assert len(read_card(tmp_path / "spool" / "discarded" / ONE)["extents"]) == 250
    await spool.close()
