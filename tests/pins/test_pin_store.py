"""pins.db: what no cache can give back."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dmfs.errors import DriveError, NoRoomError, SetupError
from dmfs.model import Folder, FolderId, Hub, HubId, Project, ProjectId, Root
from dmfs.namespace.listing_codec import encode_node
from dmfs.pins.pin_store import SCHEMA_VERSION, PinStore
from dmfs.pins.records import Pin, PinnedFile, Progress, chain_text
from tests.support.helpers import CHILD_ENVIRONMENT, a_file

HUB = Hub(HubId("b.h"), "Hub")
PROJECT = Project(ProjectId("b.project"), HUB.id, "Project")
FOLDER = Folder(FolderId("f"), PROJECT.id, HUB.id, "Folder", rollup_ns=5)
CHAIN = (Root(), HUB, PROJECT)


def a_pin(node_id: str = "f", label: str = "/Hub/Project/Folder") -> Pin:
    return Pin("folder", PROJECT.id, node_id, label, replace(FOLDER, id=FolderId(node_id)), CHAIN)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[PinStore]:
    made = PinStore(tmp_path / "state")
    yield made
    made.close()


def test_there_is_no_file_before_the_first_pin_and_then_a_private_one(store):
    assert not store.load("me").pins
    store.changed()
    assert not store.path.parent.exists()
    store.add("me", [a_pin()])
    assert store.path.stat().st_mode & 0o777 == 0o600
    assert store.path.parent.stat().st_mode & 0o777 == 0o700


def test_pins_come_back_as_they_were_and_only_to_their_sign_in(store, tmp_path):
    store.add("me", [a_pin(), a_pin("g", "/x/\udcff")])
    store.add("me", [a_pin()])  # twice is once
    one, two = PinStore(tmp_path / "state").load("me").pins
    assert (one.node, one.chain, one.label, one.kind) == (FOLDER, [*CHAIN], a_pin().label, "folder")
    assert two.node_id == "g"
    assert store.load("another").pins == []
    store.remove("another", [one.id])
    assert len(store.load("me").pins) == 2
    store.report("me", {one.id: Progress("failed", "why\udcff", 3, 2, 10, 5)})
    assert store.load("me").pins[0].progress.files_done == 2
    store.remove("me", [one.id])
    assert [each.node_id for each in store.load("me").pins] == ["g"]


def test_a_change_is_whole_and_tells_what_is_to_be_let_go(store):
    old, new = a_file("old"), a_file("new")
    file = PinnedFile(old.project_id, old.item_id, "folder", old, new)
    store.change("me", put=[file])
    store.change("others", put=[replace(file, coming=None)])
    found = store.load("me")
    assert found.files == {file.key: file}
    assert found.others == {old.storage_id}
    store.change("me", put=[replace(file, whole=new, coming=None)], leaving=[old.storage_id])
    found = PinStore(store.path.parent).load("me")
    assert found.files[file.key].whole == new
    assert found.leaving == {old.storage_id}
    store.left([old.storage_id])
    store.change("me", drop=[file.key])
    assert store.load("me").files == {}
    assert not store.load("me").leaving


def test_a_change_by_another_process_is_seen(store):
    store.add("me", [a_pin()])
    assert store.changed()
    assert not store.changed()
    PinStore(store.path.parent).add("me", [a_pin("g")])
    assert store.changed()
    assert not store.changed()


def test_a_newer_one_is_left_alone_and_refused_with_one_line(store):
    store.add("me", [a_pin()])
    store.close()
    with sqlite3.connect(store.path) as db:
        db.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        db.execute("ALTER TABLE pins ADD COLUMN of_the_future TEXT")
    db.close()
    before = store.path.read_bytes()
    for verb in (lambda: store.load("me"), lambda: store.add("me", [a_pin("g")]), store.changed):
        with pytest.raises(SetupError, match="newer dmfs") as caught:
            verb()
        assert "\n" not in str(caught.value)
    assert store.path.read_bytes() == before


@pytest.mark.parametrize("content", [b"no database " * 500, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_one_is_set_aside_with_one_warning(store, content, caplog):
    for number in (1, 2):
        store.close()
        store.path.parent.mkdir(exist_ok=True, mode=0o700)
        for path in store.path.parent.glob("pins.db-*"):
            path.unlink()
        store.path.write_bytes(content)
        assert store.load("me").pins == []
        store.add("me", [a_pin()])
        assert len(store.load("me").pins) == 1
        aside = store.path.with_name(f"pins.db.damaged-{number}")
        assert aside.read_bytes() == content
    assert len([r for r in caplog.records if r.levelname == "WARNING"]) == 2


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


@pytest.mark.skipif(os.geteuid() != 0, reason="a filesystem of its own needs root")
def test_a_full_disk_is_told_and_nothing_is_half_written(tmp_path):
    small = tmp_path / "state"
    small.mkdir()
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=512k,mode=700", "dmfs-test", small], check=True
    )
    try:
        store = PinStore(small)
        store.add("me", [a_pin()])
        with pytest.raises(OSError, match="No space left"):
            _fill(small / "filler")
        with pytest.raises(NoRoomError, match="its disk is full"):
            store.add("me", [a_pin(f"g{n}", "/long" * 200) for n in range(200)])
        assert [each.node_id for each in store.load("me").pins] == ["f"]
        (small / "filler").unlink()
        store.add("me", [a_pin("g")])
        assert len(store.load("me").pins) == 2
        store.close()
    finally:
        subprocess.run(["umount", small], check=True)


def test_a_rotten_row_is_a_pin_less_and_no_crash(store, caplog):
    file = a_file("x")
    store.add("me", [a_pin(), a_pin("g")])
    store.change("me", put=[PinnedFile("b.project", "i", "folder", file)])
    with sqlite3.connect(store.path) as db:
        db.execute("UPDATE pins SET node = '[1,2' WHERE node_id = 'f'")
        db.execute("UPDATE files SET whole = '[\"d\"]'")
    db.close()
    found = store.load("me")
    assert [each.node_id for each in found.pins] == ["g"]
    assert found.files == {}


CHILD = """
import sys
from pathlib import Path
from dmfs.pins.pin_store import PinStore
from tests.pins.test_pin_store import a_pin
store = PinStore(Path(sys.argv[1]))
for number in range(int(sys.argv[2]), 100000):
    store.add("me", [a_pin(f"n{number}")])
    print(number, flush=True)
"""


def test_a_kill_loses_the_last_intention_at_most(tmp_path):
    state, recorded = tmp_path / "state", 0
    for _ in range(3):
        words = [sys.executable, "-c", CHILD, str(state), str(recorded)]
        with subprocess.Popen(words, stdout=subprocess.PIPE, env=CHILD_ENVIRONMENT) as child:
            assert child.stdout is not None
            for _ in range(20):
                child.stdout.readline()
            child.kill()
            done = max([recorded + 19, *map(int, child.stdout.read().split())])
        store = PinStore(state)
        recorded = len(store.load("me").pins)
        assert recorded in (done + 1, done + 2)
        with sqlite3.connect(store.path) as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        db.close()
        store.close()


def test_an_unusable_place_is_an_error_in_words(tmp_path):
    (tmp_path / "state").write_text("a file")
    with pytest.raises(DriveError, match=r"pins\.db"):
        PinStore(tmp_path / "state").add("me", [a_pin()])


V1 = """
CREATE TABLE pins (
    id INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, kind TEXT NOT NULL,
    project_id TEXT NOT NULL, node_id TEXT NOT NULL, label TEXT NOT NULL, since REAL NOT NULL,
    node TEXT NOT NULL, chain TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'listing', error TEXT NOT NULL DEFAULT '',
    files INTEGER NOT NULL DEFAULT 0, files_done INTEGER NOT NULL DEFAULT 0,
    bytes INTEGER NOT NULL DEFAULT 0, bytes_done INTEGER NOT NULL DEFAULT 0,
    UNIQUE (scope, project_id, node_id));
CREATE TABLE files (
    scope TEXT NOT NULL, project_id TEXT NOT NULL, item_id TEXT NOT NULL,
    directory TEXT NOT NULL, whole TEXT NOT NULL DEFAULT '', whole_id TEXT NOT NULL DEFAULT '',
    coming TEXT NOT NULL DEFAULT '', coming_id TEXT NOT NULL DEFAULT '',
    error TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (scope, project_id, item_id)) WITHOUT ROWID;
CREATE TABLE leaving (storage_id TEXT PRIMARY KEY) WITHOUT ROWID;
PRAGMA user_version = 1
"""
"""As the release before wrote it."""


def test_pins_of_the_release_before_stay_and_can_be_given_a_format(store):
    store.add("me", [a_pin(), a_pin("g")])
    rows = [
        (p.id, "me", p.kind, p.project_id, p.node_id, p.label, p.since_s, encode_node(p.node),
         chain_text(p.chain), "complete", "", 3, 3, 10, 10)
        for p in store.load("me").pins
    ]  # fmt: skip
    store.close()
    store.path.unlink()
    with sqlite3.connect(store.path) as db:
        db.executescript(V1)
        db.executemany(f"INSERT INTO pins VALUES ({', '.join('?' * 15)})", rows)
    db.close()
    one, two = store.load("me").pins
    assert (one.node, one.chain, one.export) == (FOLDER, [*CHAIN], "")
    assert two.progress == Progress("complete", "", 3, 3, 10, 10)
    store.add("me", [replace(a_pin(), export="f3z"), a_pin("g")])
    assert [each.export for each in store.load("me").pins] == ["f3z", ""]
    store.add("me", [a_pin()])
    assert [each.export for each in store.load("me").pins] == ["f3z", ""], "said once is enough"
