"""Real programs save on a real mount: after each, one version more of the same item."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.write.saves.place import Folder

pytestmark = pytest.mark.mount
OLD = b"first line\nsecond line\n"
REST_S = 0.3
"""Longer than the mount's upload_delay."""

TEMPFILE = """
import os, sys, tempfile
with tempfile.NamedTemporaryFile("wb", dir=".", delete=False) as file:
    file.write(open("f.txt", "rb").read().replace(b"first", sys.argv[1].encode()))
os.replace(file.name, "f.txt")
"""
VIM = ["vim", "-u", "NONE", "-es", "-c", "1s/^/{} /", "-c", "wq"]
EMACS = ["emacs", "-Q", "--batch", "f.txt", "--eval", '(progn (insert "{} ") (save-buffer))']
WAYS: dict[str, list[str]] = {
    "vim": [*VIM, "f.txt"],
    "emacs": EMACS,
    "gio": ["sh", "-c", "{{ echo {}; cat f.txt; }} >'$TMP' && gio save f.txt <'$TMP'"],
    "sed": ["sed", "-i", "1i {}", "f.txt"],
    "perl": ["perl", "-i", "-pe", 's/^/{} / if $. == 1', "f.txt"],
    "python3": ["python3", "-c", TEMPFILE, "first {}"],
    "cp": ["sh", "-c", "{{ echo {}; cat f.txt; }} >'$TMP' && cp '$TMP' f.txt"],
    "rsync": ["sh", "-c", "{{ echo {}; cat f.txt; }} >'$TMP' && rsync -a '$TMP' f.txt"],
    "tar": ["sh", "-c", "cd '$DIR' && echo {} >f.txt && tar cf - f.txt | tar xf - -C '$HERE'"],
    "ed": ["sh", "-c", "printf '1i\\n{}\\n.\\nw\\nq\\n' | ed -s f.txt"],
}  # fmt: skip


def run(folder: Folder, *words: str) -> subprocess.CompletedProcess[bytes]:
    done = folder.drive.tool(*words, cwd=folder.path)
    assert done.returncode == 0, done.stderr.decode()[-1000:]
    return done


@pytest.mark.parametrize("way", [pytest.param(way, marks=pytest.mark.tool(way)) for way in WAYS])
def test_a_program_saves_twice(folder: Folder, way: str, tmp_path: Path) -> None:
    path = folder.write("f.txt", OLD)
    folder.comes_to_all({"f.txt": [OLD]})
    versions, inode = [OLD], path.stat().st_ino
    places = {"$TMP": str(tmp_path / "t"), "$DIR": str(tmp_path), "$HERE": str(folder.path)}
    for word in ("once", "again"):
        words = [
            each.replace("{}", word).replace("{{", "{").replace("}}", "}") for each in WAYS[way]
        ]
        for place, at in places.items():
            words = [each.replace(place, at) for each in words]
        run(folder, *words)
        data = path.read_bytes()
        assert word.encode() in data
        assert data not in versions
        versions.append(data)
        told = path.stat()
        folder.comes_to_all({"f.txt": versions})
        after = path.stat()
        assert (after.st_ino, after.st_mtime_ns) == (told.st_ino, told.st_mtime_ns)
        assert path.read_bytes() == data
    assert inode > 0
    assert set(folder.names()) <= {"f.txt", "f.txt~"}


def _tree(directory: Path) -> dict[str, bytes]:
    """Some files, by their paths."""
    files = {"a.dwg": b"a" * 5000, "b.txt": b"", "sub/c.bin": os.urandom(9000), "sub/d e": b"d"}
    for name, data in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_bytes(data)
        os.utime(directory / name, (1_600_000_000, 1_600_000_000.5))
    return files


@pytest.mark.tool("rsync")
def test_the_second_rsync_sends_nothing(folder: Folder, tmp_path: Path) -> None:
    files = _tree(tmp_path / "from")
    run(folder, "rsync", "-a", f"{tmp_path}/from/", f"{folder.path}/")
    folder.comes_to_all({"a.dwg": [files["a.dwg"]], "b.txt": [b""]})
    sub = Folder(folder.drive, folder.emulator, folder / "sub")
    sub.comes_to_all({"c.bin": [files["sub/c.bin"]], "d e": [b"d"]})
    before = folder.emulator.counts()
    out = run(folder, "rsync", "-a", "-v", "-i", f"{tmp_path}/from/", f"{folder.path}/").stdout
    assert not [mark for mark in (b"f+", b">f") if mark in out], out
    time.sleep(REST_S)
    after = folder.emulator.counts()
    for route in ("storage", "items_post", "versions_post", "cdn_put", "upload_urls"):
        assert after[route] == before[route], route


@pytest.mark.tool("zip", "unzip")
def test_zip_and_unzip(folder: Folder, tmp_path: Path) -> None:
    files = _tree(tmp_path / "from")
    run(folder, "sh", "-c", f"cd '{tmp_path}/from' && zip -qr '{folder.path}/z.zip' a.dwg")
    first = (folder / "z.zip").read_bytes()
    folder.comes_to_all({"z.zip": [first]})
    run(folder, "sh", "-c", f"cd '{tmp_path}/from' && zip -qr '{folder.path}/z.zip' .")
    second = (folder / "z.zip").read_bytes()
    folder.comes_to_all({"z.zip": [first, second]})
    run(folder, "unzip", "-q", "z.zip")
    (folder / "a.dwg").write_bytes(b"other")
    run(folder, "unzip", "-qo", "z.zip")
    assert (folder / "sub" / "c.bin").read_bytes() == files["sub/c.bin"]
    assert (folder / "a.dwg").read_bytes() == files["a.dwg"]
    folder.comes_to_all({"z.zip": [first, second], "a.dwg": [files["a.dwg"]], "b.txt": [b""]})


@pytest.mark.tool("sqlite3")
def test_a_database_in_place(folder: Folder) -> None:
    run(folder, "sqlite3", "a.db", "create table t(x); insert into t values (1)")
    folder.comes_to_all({"a.db": [(folder / "a.db").read_bytes()]})
    first = (folder / "a.db").read_bytes()
    run(folder, "sqlite3", "a.db", "insert into t values (2); insert into t values (3)")
    assert run(folder, "sqlite3", "a.db", "select sum(x) from t").stdout == b"6\n"
    assert run(folder, "sqlite3", "a.db", "pragma integrity_check").stdout == b"ok\n"
    folder.comes_to_all({"a.db": [first, (folder / "a.db").read_bytes()]})


@pytest.mark.tool("git")
def test_git_works_and_its_own_files_stay_here(
    folder: Folder, tmp_path: Path, again: Callable[[], None]
) -> None:
    (tmp_path / "from").mkdir()
    make = "git init -q && echo one >f.txt && git add . && git commit -qm one"
    identity = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "A",
                "GIT_COMMITTER_EMAIL": "a@b"}  # fmt: skip
    made = folder.drive.tool("sh", "-c", make, cwd=tmp_path / "from", environ=identity)
    assert made.returncode == 0, made.stderr
    before = folder.emulator.counts()["folders_post"]
    run(folder, "git", "clone", "-q", str(tmp_path / "from"), "clone")
    clone = Folder(folder.drive, folder.emulator, folder / "clone")
    assert (clone / "f.txt").read_bytes() == b"one\n"
    done = folder.drive.tool(
        "sh", "-c", "echo two >g.txt && git add . && git commit -qm two && git gc -q",
        cwd=clone.path, environ=identity,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    clone.comes_to_all({"f.txt": [b"one\n"], "g.txt": [b"two\n"]})
    assert folder.emulator.counts()["folders_post"] == before + 1
    again()
    assert run(clone, "git", "fsck", "--strict").returncode == 0
    assert run(clone, "git", "log", "--format=%s").stdout == b"two\none\n"
    assert run(clone, "git", "status", "--short").stdout == b""
    assert "its folder is not made" not in folder.drive.log()  # nothing of it waits to go up
    run(clone, "rm", "-r", ".git")
    assert clone.names() == ["f.txt", "g.txt"]
    folders = {event["folder"] for event in folder.emulator.writes()["events"]}
    assert not any(each.startswith("local:") for each in folders)
