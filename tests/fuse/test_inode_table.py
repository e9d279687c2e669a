"""Inodes and paths."""

from __future__ import annotations

from typing import Any

import pytest
import trio

import dmfs.fuse.inode_table
from dmfs.errors import GoneError, NotADirectory, NotFoundError
from dmfs.fuse.inode_table import ROOT_INODE, InodeTable
from dmfs.model import Child, Directory, Folder, FolderId, Hub, HubId, Project, ProjectId, Root
from dmfs.names import inode_number, printable
from dmfs.namespace.listings import Freshness, Listings
from dmfs.namespace.paths import resolve
from tests.support.helpers import a_file, virtual
from tests.support.made_drives import a_drive

HUB = Hub(HubId("b.h"), "Hub")
PROJECT = Project(ProjectId("b.p"), HUB.id, "Project")
FOLDER = Folder(FolderId("f"), PROJECT.id, HUB.id, "Plans")
EMPTY = Folder(FolderId("e"), PROJECT.id, HUB.id, "Empty")
FILE = a_file("plan.dwg")
WORLD: dict[str, list[Child]] = {
    "root": [HUB], HUB.identity: [PROJECT], PROJECT.identity: [FOLDER, EMPTY],
    FOLDER.identity: [FILE, a_file("elevation.dwg"), a_file("bell\x07.txt")], EMPTY.identity: [],
}  # fmt: skip


async def _ask(directory: Directory) -> list[Child]:
    await trio.sleep(0)
    return WORLD[directory.identity]


async def _learn(file: Any) -> None:
    raise AssertionError(file)


def listings_in(nursery: trio.Nursery) -> Listings:
    return Listings(
        _ask, _learn, nursery, freshness=Freshness(), timeout_s=30, service_folders=False
    )


def test_lookups_are_counted_and_the_last_forget_ends_the_row() -> None:
    table = InodeTable(PROJECT)
    row = table.ref(ROOT_INODE, "Plans", FOLDER)
    assert row.number == inode_number(FOLDER.identity) == table.number_of(FOLDER)
    assert table.ref(ROOT_INODE, "Plans", FOLDER) is row
    file = table.ref(row.number, "plan.dwg", FILE)
    assert table.path(file.number) == "/Plans/plan.dwg"
    assert len(table) == 3
    table.forget(row.number, 1)
    assert table.inode(row.number) is row
    table.forget(row.number, 1)
    with pytest.raises(GoneError):
        table.inode(row.number)
    assert table.referenced(FOLDER) is None
    assert table.referenced(FILE) == file.number
    table.forget(file.number, 99)  # more than were counted
    table.forget(424242, 1)  # never referenced
    table.forget(ROOT_INODE, 10**9)
    assert len(table) == 1
    assert table.inode(ROOT_INODE).node == PROJECT


@virtual
async def test_a_lookup_is_answered_from_the_listing() -> None:
    async with trio.open_nursery() as nursery:
        drive = a_drive(listings=listings_in(nursery))
        assert await drive.lookup(PROJECT, "Plans") == FOLDER
        assert await drive.lookup(PROJECT, "plans") is None
        assert (await drive.list(PROJECT)).names == ("Empty", "Plans")


def test_files_are_no_directories() -> None:
    table = InodeTable(FOLDER)
    number = table.ref(ROOT_INODE, "plan.dwg", FILE).number
    with pytest.raises(NotADirectory):
        table.directory(number)
    with pytest.raises(NotADirectory):
        table.directory_if_referenced(number)


def test_two_identities_of_one_number_live_side_by_side() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dmfs.fuse.inode_table, "inode_number", lambda identity: 77)
        table = InodeTable(PROJECT)
        nodes = [a_file(f"{n}") for n in range(3)]
        rows = [table.ref(ROOT_INODE, node.name, node) for node in nodes]
        assert [row.number for row in rows] == [77, 78, 79]
        table.forget(77, 1)
        assert table.number_of(nodes[1]) == 78  # referenced: it keeps its number
        assert table.ref(ROOT_INODE, "0", nodes[0]).number == 77
        assert [table.inode(n).node for n in (77, 78, 79)] == nodes


def test_a_path_with_a_forgotten_parent_is_still_told() -> None:
    table = InodeTable(PROJECT)
    parent = table.ref(ROOT_INODE, "Plans", FOLDER)
    child = table.ref(parent.number, "plan.dwg", FILE)
    table.forget(parent.number, 1)
    assert table.path(child.number) == "/plan.dwg"
    # getattr of the open file asks for this: it must not answer ESTALE
    assert table.directory_if_referenced(child.parent) is None
    assert table.path(123456) == "/"


@pytest.mark.parametrize(
    ("path", "node"),
    [("/", Root()), ("", Root()), ("//Hub/./Project/", PROJECT), ("Hub/Project/Plans", FOLDER),
     ("/Hub/Project/Plans/plan.dwg", FILE)],
)  # fmt: skip
def test_resolve(path: str, node: object) -> None:
    @virtual
    async def body() -> None:
        async with trio.open_nursery() as nursery:
            assert await resolve(listings_in(nursery), path) == node

    body()


@pytest.mark.parametrize(
    ("path", "message", "hint"),
    [
        ("/Hub/Projekt", "there is no 'Projekt' in '/Hub'", "did you mean 'Project'?"),
        ("/zzz", "there is no 'zzz' in '/'", "there is: 'Hub'"),
        ("/Hub/Project/Empty/x", "there is no 'x' in '/Hub/Project/Empty'", "it is empty"),
        ("/Hub/Project/Plans/plan.dvg", "there is no 'plan.dvg'", "did you mean 'plan.dwg'"),
        ("/Hub/Project/Plans/bell.txt", "there is no 'bell.txt'", "'bell�.txt'"),
    ],
)  # fmt: skip
def test_resolve_says_what_is_missing_and_what_is_there(path: str, message: str, hint: str) -> None:
    @virtual
    async def body() -> None:
        async with trio.open_nursery() as nursery:
            with pytest.raises(NotFoundError) as caught:
                await resolve(listings_in(nursery), path)
            assert message in caught.value.message
            assert hint in caught.value.hint

    body()


@virtual
async def test_resolve_through_a_file_says_so() -> None:
    async with trio.open_nursery() as nursery:
        with pytest.raises(NotADirectory, match="is a file, so there is no 'x'"):
            await resolve(listings_in(nursery), "/Hub/Project/Plans/plan.dwg/x")


def test_printable() -> None:
    assert printable("a\x1b[31mb\udcff\nc") == "a�[31mb�\ufffdc"
