"""An index that a newer dmfs made: another one's cache, which may be large."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from dmfs.blocks.store.block_store import DIRECTORY
from dmfs.model import StorageId
from tests.support.caches import store_in
from tests.support.helpers import truth
from tests.support.stores import A, full


@pytest.mark.parametrize("also", ["nothing", "a note that it is damaged"])
def test_a_newer_index_is_left_alone(
    tmp_path: Path, also: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A user who goes back to an older dmfs and forth again has the whole cache still."""
    caplog.set_level("INFO")
    with store_in(tmp_path) as store:
        full(store, A)
    newer = tmp_path / DIRECTORY
    db = sqlite3.connect(newer / "index.db")
    db.execute("CREATE TABLE of_the_future (x)")
    db.execute("PRAGMA user_version = 4")
    db.close()
    if also != "nothing":
        (newer / "damaged").touch()

    def content() -> dict[str, bytes]:
        return {
            str(path.relative_to(newer)): path.read_bytes()
            for path in newer.rglob("*")
            if path.is_file() and path.name not in ("index.db-shm", "index.db-wal")
        }

    before = content()
    for _ in range(2):
        with store_in(tmp_path) as store:  # its own, which stays for the next time
            stored = store.attach(StorageId("urn:own"), 1000)
            if not store.used_bytes():
                assert store.write(stored, 0, memoryview(truth(0, 1000)))
            assert store.used_bytes() == 1000
        assert content() == before
    assert sum("is of a newer dmfs" in each.message for each in caplog.records) == 2
    assert all(each.levelname == "INFO" for each in caplog.records)


def test_a_newer_index_that_takes_the_place_of_a_running_drives_is_left_alone(
    tmp_path: Path,
) -> None:
    with store_in(tmp_path) as store:
        path = tmp_path / DIRECTORY / "index.db"
        for each in path.parent.glob("index.db*"):
            each.unlink()
        db = sqlite3.connect(path)
        db.execute("CREATE TABLE of_the_future (x)")
        db.execute("PRAGMA user_version = 4")
        db.close()
        with pytest.raises(sqlite3.OperationalError, match="newer"):
            store.attach(StorageId("urn:own"), 1000)  # the caller goes without
    db = sqlite3.connect(path)
    assert db.execute("SELECT * FROM of_the_future").fetchall() == []
    db.close()
