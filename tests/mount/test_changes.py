"""What others do meanwhile shows; the kernel's caches follow, open files do not change."""

from __future__ import annotations

import contextlib
import errno
import hashlib

import pytest

from dmfs.spans import MIB
from tests.support.mounts import Drive, wait_until
from tests.support.oracle import FIND, Oracle, find_lines

ACCOUNT = "Emulated Builders \uff0f Headquarters"
RAW = "Emulated Builders ~1 Headquarters/Sample Project/Project Files"
FILES = f"{ACCOUNT}/Sample Project/Project Files"
SHOWS_S = 10.0


@pytest.fixture(scope="module")
def drive_config() -> dict[str, object]:
    return {"ttl": "200ms", "hub_ttl": "200ms", "patience": "3s", "rollup_trust": 0}


@pytest.fixture
def world(calm):
    return calm


def listed(drive: Drive, *parts: str) -> list[str]:
    return drive.call("listdir", drive.path(FILES, *parts))


def test_an_open_handle_keeps_its_bytes(world, drive):
    """Also the parts that nobody has read yet, while a new open reads the new ones."""
    path, raw = drive.path(FILES, "Large Files", "Tower.rvt"), f"{RAW}/Large Files/Tower.rvt"
    old = Oracle(world).at(f"{FILES}/Large Files/Tower.rvt")
    handle = drive.call("open", path)
    assert drive.call("pread", handle, 0, 4096) == world.bytes(old.storage, 0, 4096)
    number = drive.call("fstat", handle).st_ino
    new = world.change("new_version", path=raw, size=2_000_000)["versions"][-1]

    def is_new() -> bool:
        return drive.call("stat", path).st_size == 2_000_000

    wait_until(is_new, SHOWS_S)
    told = drive.call("stat", path)
    assert told.st_ino != number
    assert drive.call("sha256", path) == world.sha256(new["storage"])
    assert drive.call("getxattr", path, "user.dmfs.version_id").decode() == new["id"]
    for offset in (8192, 150_000_000, old.real_size - 5000):
        seen = drive.call("pread", handle, offset, 10_000)
        assert seen == world.bytes(old.storage, offset, 10_000)
    assert drive.call("fstat", handle).st_size == old.real_size
    drive.call("close", handle)


def test_handles_over_a_change_of_content_never_mix_it(world, drive):
    """Two open files of one inode share the kernel's pages, but not the content of their object:
    one opened before it changed, the other after that."""
    size = 24 * MIB
    item = world.change("add_item", path=f"{RAW}/Large Files", name="changing.bin", size=size)
    path, storage = (
        drive.path(FILES, "Large Files", "changing.bin"),
        item["versions"][-1]["storage"],
    )
    wait_until(lambda: drive.call("errno_of", "stat", path) == 0, SHOWS_S)
    old = world.bytes(storage)
    first = drive.call("open", path)
    assert drive.call("pread", first, 0, MIB) == old[:MIB]
    world.change("replace_bytes", id=item["id"])
    new = world.bytes(storage)
    assert drive.call("errno_of", "pread", first, 16 * MIB, 4096) == errno.ESTALE
    second = drive.call("open", path)
    assert drive.call("fstat", first).st_ino == drive.call("fstat", second).st_ino
    offsets = range(0, size, MIB)
    for offset in offsets:
        assert drive.call("pread", second, offset, 65536) == new[offset : offset + 65536]
    for offset in offsets:  # whatever the kernel has of the other one
        with contextlib.suppress(OSError):
            assert drive.call("pread", first, offset, 65536) == old[offset : offset + 65536]
    third = drive.call("open", path)
    for handle in (second, third):
        for offset in offsets:
            assert drive.call("pread", handle, offset, 65536) == new[offset : offset + 65536]
    for handle in (first, second, third):
        drive.call("close", handle)
    assert drive.call("sha256", path) == world.sha256(storage)


def test_versions_of_equal_size_are_told_apart(world, drive):
    """No size and no name tells the difference: the page cache must not, either."""
    path = drive.path(FILES, "README.txt")
    for text in ("first text\n", "other text\n", "third text\n"):
        world.change("new_version", path=f"{RAW}/README.txt", text=text)
        wait_until(lambda text=text: drive.call("read", path) == text.encode(), SHOWS_S)
        digest = hashlib.sha256(text.encode()).hexdigest()
        assert drive.call("sha256", path) == (digest, len(text))
        assert drive.call("mmap_slices", path, [(0, 11)]) == [text.encode()]


def test_rename_of_a_file(world, drive):
    old, new = (drive.path(FILES, "Documents", name) for name in ("Minutes.txt", "Protocol.txt"))
    body = drive.call("read", old)
    assert drive.call("errno_of", "stat", new) == errno.ENOENT  # absence is remembered, too
    world.change("rename", path=f"{RAW}/Documents/Minutes.txt", name="Protocol.txt")
    wait_until(lambda: drive.call("errno_of", "stat", new) == 0, SHOWS_S)
    assert drive.call("errno_of", "stat", old) == errno.ENOENT
    assert "Minutes.txt" not in listed(drive, "Documents")
    world.reset()
    assert drive.call("read", new) == body
    assert drive.counts().get("cdn_get", 0) == 0  # the same bytes as before


def test_rename_of_a_folder(world, drive):
    handle = drive.call("open", drive.path(FILES, "Models", "House.ifc"))
    names = listed(drive, "Models")
    number = drive.call("stat", drive.path(FILES, "Models")).st_ino
    world.change("rename", path=f"{RAW}/Models", name="Geometry")
    wait_until(lambda: "Geometry" in listed(drive), SHOWS_S)
    wait_until(lambda: drive.call("errno_of", "stat", drive.path(FILES, "Models")), SHOWS_S)
    assert listed(drive, "Geometry") == names
    assert drive.call("stat", drive.path(FILES, "Geometry")).st_ino == number
    assert drive.call("pread", handle, 0, 12) == b"ISO-10303-21"
    drive.call("close", handle)


def test_move(world, drive):
    world.change("move", path=f"{RAW}/Drawings/Room 1.dxf", to=f"{RAW}/Photos")
    wait_until(lambda: "Room 1.dxf" in listed(drive, "Photos"), SHOWS_S)
    wait_until(lambda: "Room 1.dxf" not in listed(drive, "Drawings"), SHOWS_S)
    assert drive.call("errno_of", "stat", drive.path(FILES, "Drawings/Room 1.dxf")) == errno.ENOENT
    assert drive.call("read", drive.path(FILES, "Photos/Room 1.dxf"))


def test_hide_and_restore(world, drive):
    path = drive.path(FILES, "Drawings", "Ground floor.pdf")
    before = drive.call("sha256", path)
    world.change("hide", path=f"{RAW}/Drawings/Ground floor.pdf")
    wait_until(lambda: drive.call("errno_of", "stat", path) == errno.ENOENT, SHOWS_S)
    assert "Ground floor.pdf" not in listed(drive, "Drawings")
    item = next(i for f in _folders(world) if f["name"] == "Drawings" for i in f["items"]
                if i["displayName"] == "Ground floor.pdf")  # fmt: skip
    world.change("restore", id=item["id"])
    wait_until(lambda: drive.call("errno_of", "stat", path) == 0, SHOWS_S)
    assert drive.call("sha256", path) == before


def _folders(world):
    stack = [f for hub in world.world()["hubs"] for p in hub["projects"] for f in p["folders"]
             if p["name"] == "Sample Project"]  # fmt: skip
    while stack:
        folder = stack.pop()
        yield folder
        stack += folder["folders"]


def test_new_folder_and_deleted_folder(world, drive):
    path = drive.path(FILES, "New Folder")
    assert drive.call("errno_of", "listdir", path) == errno.ENOENT
    world.change("add_folder", path=RAW, name="New Folder")
    world.change("add_item", path=f"{RAW}/New Folder", name="in it.txt", text="hello\n")
    wait_until(lambda: drive.call("errno_of", "listdir", path) == 0, SHOWS_S)
    assert drive.call("read", f"{path}/in it.txt") == b"hello\n"
    world.change("delete_folder", path=f"{RAW}/New Folder")
    wait_until(lambda: drive.call("errno_of", "listdir", path) == errno.ENOENT, SHOWS_S)
    assert "New Folder" not in listed(drive)


def test_new_and_revoked_project(world, drive):
    world.change("add_project", path="Ada's Hub", name="Second Project")
    wait_until(lambda: "Second Project" in drive.call("listdir", drive.path("Ada's Hub")), SHOWS_S)
    world.change("revoke", path="Ada's Hub/Second Project")
    wait_until(
        lambda: drive.call("listdir", drive.path("Ada's Hub")) == ["My First Project"], SHOWS_S
    )


def test_a_working_directory_goes_on_working(world, drive):
    folder = drive.path(FILES, "Documents")
    drive.call("chdir", folder)
    try:
        before = drive.call("listdir", ".")
        world.change("add_item", path=f"{RAW}/Documents", name="late.txt", text="late\n")
        wait_until(lambda: drive.call("listdir", ".") == sorted([*before, "late.txt"]), SHOWS_S)
        assert drive.call("read", "late.txt") == b"late\n"
    finally:
        drive.call("chdir", "/")


def test_when_all_is_quiet_the_tree_is_the_worlds(world, drive):
    """After all these changes: exactly what the oracle says of the world as it is now."""
    expected = sorted(
        entry.line(known=True) for entry in Oracle(world).below(FILES) if not entry.directory
    )

    def found():
        done = drive.tool("find", drive.path(FILES), *FIND)
        lines = [line.split(" ", 3) for line in find_lines(done.stdout)]
        return sorted(" ".join([*line[:3], f"{FILES}/{line[3]}"]) for line in lines
                      if line[0] == "f")  # fmt: skip

    wait_until(lambda: found() == expected, SHOWS_S)
