"""The kernel is told to forget a name not while it is changing one in that directory."""

from __future__ import annotations

import pyfuse3
import pytest

from dmfs.fuse.inode_table import ROOT_INODE, InodeTable
from dmfs.fuse.kernel_cache import LatePushes
from dmfs.model import Folder, FolderId, HubId, ProjectId, Root


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bytes]]:
    calls: list[tuple[int, bytes]] = []
    monkeypatch.setattr(
        pyfuse3, "invalidate_entry_async",
        lambda inode, name, **_: calls.append((inode, name)),
    )  # fmt: skip
    return calls


def a_folder(name: str) -> Folder:
    return Folder(FolderId(name), ProjectId("b.p"), HubId("b.h"), name)


def test_a_push_waits_for_the_change_of_a_name(pushed: list[tuple[int, bytes]]) -> None:
    root, folder = Root(), a_folder("f")
    inodes = InodeTable(root)
    number = inodes.ref(ROOT_INODE, "f", folder).number
    pushes = LatePushes(inodes)
    with pushes.held(ROOT_INODE, number):
        with pushes.held(ROOT_INODE):
            pushes.push(root, ["a"])
            pushes.push(folder, ["b"])
        assert pushed == []  # the outer one goes on
    assert pushed == [(ROOT_INODE, b"a"), (number, b"b")]
    pushes.push(root, ["c"])
    assert pushed[2:] == [(ROOT_INODE, b"c")]


def test_a_push_elsewhere_does_not_wait(pushed: list[tuple[int, bytes]]) -> None:
    root, folder = Root(), a_folder("f")
    inodes = InodeTable(root)
    number = inodes.ref(ROOT_INODE, "f", folder).number
    pushes = LatePushes(inodes)
    with pushes.held(ROOT_INODE):
        pushes.push(folder, ["b"])
        assert pushed == [(number, b"b")]


def test_a_node_becomes_another_under_its_number() -> None:
    inodes, old, new = InodeTable(Root()), a_folder("local:later:1"), a_folder("made")
    number = inodes.ref(ROOT_INODE, "f", old).number
    inodes.became(old, new)
    assert inodes.number_of(new) == number
    assert inodes.inode(number).node is new
    assert inodes.ref(ROOT_INODE, "f", new).number == number
    inodes.forget(number, 2)
    assert inodes.number_of(new) != number
