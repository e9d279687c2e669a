"""Pictures on disk: shared, bounded, and no worse than none when the disk is."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path

from dmfs.emulator.thumbnails.pictures import png
from dmfs.thumbnails.store import PictureStore
from tests.support.helpers import real

PICTURE = png("x?version=1", 100)


def files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


@real
async def test_what_one_saves_another_of_the_same_sign_in_loads(tmp_path):
    one, same, other = (PictureStore(tmp_path, whose) for whose in ("ada", "ada", "bob"))
    assert await one.load("v") is None
    await one.save("v", PICTURE)
    assert await same.load("v") == PICTURE
    assert await other.load("v") is None
    assert await same.load("v2") is None
    assert [path.stat().st_mode & 0o077 for path in tmp_path.rglob("*") if path.is_dir()] == [0] * 3


@real
async def test_a_damaged_one_is_none_and_goes(tmp_path):
    store = PictureStore(tmp_path, "ada")
    await store.save("v", PICTURE)
    (file,) = files(tmp_path)
    file.write_bytes(PICTURE[:-1])
    assert await store.load("v") is None
    assert files(tmp_path) == []
    await store.save("v", PICTURE)
    assert await store.load("v") == PICTURE


@real
async def test_what_was_used_longest_ago_goes_first(tmp_path):
    limit = 10 * len(PICTURE)
    store, other = (PictureStore(tmp_path, whose, limit) for whose in ("ada", "bob"))
    now = time.time()
    for number in range(10):
        await store.save(f"v{number}", PICTURE)
        os.utime(store._file(f"v{number}"), (now, now - 100_000 + number))
    assert await store.load("v0") == PICTURE  # a use: it is the youngest now
    await store.save_links({"projects": {}})
    leftover = store._own / ".1-1"
    leftover.write_bytes(b"x")
    os.utime(leftover, (now, now - 7200))
    young = store._own / ".2-1"  # another process is at it
    young.write_bytes(b"x")
    await other.save("new", PICTURE)
    left = [number for number in range(10) if await store.load(f"v{number}")]
    assert 0 in left
    assert 1 not in left
    assert left[1:] == list(range(left[1], 10))
    assert await other.load("new") == PICTURE
    assert sum(path.stat().st_size for path in files(tmp_path)) <= limit * 0.9
    assert await store.load_links() == {"version": 1, "projects": {}}
    assert not leftover.exists()
    assert young.exists()


@real
async def test_links_of_another_shape_are_none(tmp_path):
    store = PictureStore(tmp_path, "ada")
    assert await store.load_links() == {}
    await store.save_links({"regions": {"b.1": "EMEA"}})
    (file,) = files(tmp_path)
    assert await store.load_links() == {"version": 1, "regions": {"b.1": "EMEA"}}
    for text in (b"", b"[]", b"{", b'{"version": 99}', b"[" * 100_000, b"\xff"):
        file.write_bytes(text)
        assert await store.load_links() == {}


@real
async def test_a_disk_that_fails_costs_nothing_but_pictures(tmp_path, caplog):
    store = PictureStore(tmp_path / "c", "ada")
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "thumbnails").write_bytes(b"a file where the directory should be")
    await store.save("v", PICTURE)
    await store.save_links({})
    assert await store.load("v") is None
    assert await store.load_links() == {}
    assert len([each for each in caplog.records if each.levelname == "WARNING"]) == 1
    gone = PictureStore(tmp_path / "d", "ada")
    await gone.save("v", PICTURE)
    shutil.rmtree(tmp_path / "d")
    assert await gone.load("v") is None
    await gone.save("v", PICTURE)
    assert await gone.load("v") == PICTURE
