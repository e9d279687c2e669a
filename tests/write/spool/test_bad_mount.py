"""A real mount that turns bad: SQLite's calls too, which nobody can stand in for."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from dmfs.errors import NoRoomError, SpoolError
from dmfs.write.records import Change
from tests.support.baddisk import BadDisk
from tests.write.spool.spooling import (
    ONE,
    draft_row,
    impatient,
    no_rows,
    open_spool,
    whole,
)


@pytest.mark.mount
def test_on_a_real_mount_that_hangs(tmp_path: Path):
    """No system call of the spool is made on the loop: it can even be closed."""
    with BadDisk(tmp_path) as disk:

        async def run() -> None:
            spool = open_spool(disk.directory / "spool")
            content = spool.create(ONE)
            await content.write(0, b"first", mtime_ns=1)
            await content.confirm(no_rows)
            disk.turn("hang")
            impatient(spool)
            with trio.fail_after(20):
                await content.write(0, b"other", mtime_ns=2)
                for _ in range(2):
                    with pytest.raises(SpoolError, match="hangs"):
                        await content.confirm(no_rows)
                    with pytest.raises(SpoolError, match="hangs"):
                        await spool.commit([Change("name", "n", {})])
                    assert spool.room().free_bytes >= 0
                await spool.close()
            disk.turn("well")
            impatient(spool, 30)
            with trio.fail_after(20):
                while spool._commits.hangs or spool._disk.hangs:
                    await trio.sleep(0.01)
            spool._journal.close()
            spool._owner.release()

        trio.run(run)


@pytest.mark.mount
@pytest.mark.parametrize("mood", ["enospc", "eio", "erofs"])
def test_on_a_real_mount_that_turns_bad(tmp_path: Path, mood: str, monkeypatch):
    with BadDisk(tmp_path) as disk:

        async def run() -> None:
            spool = open_spool(disk.directory / "spool")
            content = spool.create(ONE)
            await content.write(0, b"first", mtime_ns=1)
            await content.confirm(lambda _: [draft_row(ONE)])
            disk.turn(mood)
            await content.write(2, b"other", mtime_ns=2)
            for _ in range(2):
                with pytest.raises((SpoolError, NoRoomError)):
                    await content.confirm(no_rows)
                with pytest.raises((SpoolError, NoRoomError)):
                    await spool.commit([Change("name", "n", {})], durable=True)
            disk.turn("well")
            await content.confirm(no_rows)
            await spool.commit([Change("name", "n", {})], durable=True)
            await spool.close()
            again = open_spool(disk.directory / "spool")
            assert await whole(again, ONE) == b"fiother"
            assert set(again.rows["name"]) == {"n"}
            await again.close()

        trio.run(run)
