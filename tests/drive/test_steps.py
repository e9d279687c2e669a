"""A folder of 50 000 entries never holds up the loop that answers the kernel.

What is measured is CPU time of the loop's thread from one checkpoint to the next, collections of
garbage included: other processes do not count.
"""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Iterator
from pathlib import Path

import pyfuse3
import pytest
import trio

from dmfs.fuse.attributes import Ownership
from dmfs.fuse.inode_table import ROOT_INODE
from dmfs.fuse.operations import Operations
from dmfs.model import Child, Directory, Folder, FolderId, HubId, Listing, ProjectId
from dmfs.namespace.listing_store import ListingStore
from dmfs.namespace.listings import Freshness, Listings
from dmfs.system.gc_tuning import GC_THRESHOLDS
from dmfs.telemetry.processes import Process
from tests.support.helpers import a_file, real
from tests.support.made_drives import a_drive

ENTRIES = 50_000
LONGEST_S = 0.05
WIDE = Folder(FolderId("wide"), ProjectId("b.project"), HubId("b.hub"), "wide")


def test_a_reply_of_many_entries_lets_others_have_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the kernel's buffer takes."""
    names: list[bytes] = []

    def reply(_token: object, name: bytes, _entry: object, _next: int) -> bool:
        names.append(name)
        return True

    monkeypatch.setattr(pyfuse3, "readdir_reply", reply)
    entries = {f"{n}.dwg": a_file(f"{n}.dwg") for n in range(5000)}
    listing = Listing(WIDE, entries, 0.0)
    turns: list[int] = []

    async def other() -> None:
        while True:
            turns.append(len(names))
            await trio.lowlevel.checkpoint()

    @real
    async def body() -> None:
        operations = Operations(a_drive(), WIDE, Ownership(0, 0))
        operations._directories[1] = ROOT_INODE, listing, Process(7, "ls")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(other)
            await operations.readdir(1, 0, None)
            nursery.cancel_scope.cancel()

    body()
    assert len(names) == 5002
    assert max(b - a for a, b in itertools.pairwise(turns)) <= 200


class Steps(trio.abc.Instrument):
    """The longest of all steps of all tasks."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self.task = ""
        self._began_s = time.thread_time()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._began_s = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        took_s = time.thread_time() - self._began_s
        if took_s > self.longest_s:
            self.longest_s, self.task = took_s, task.name


@pytest.fixture
def as_a_mount_collects() -> Iterator[None]:
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()  # what the test session holds is no part of the drive
    gc.set_threshold(*GC_THRESHOLDS)
    yield
    gc.set_threshold(*before)
    gc.unfreeze()


@pytest.mark.usefixtures("as_a_mount_collects")
def test_a_listing_of_50000_entries_blocks_no_other_task(tmp_path: Path) -> None:
    """Listed, saved to disk, listed again with every other version a new one, and recalled."""
    answers: list[list[Child]] = []

    async def list_children(directory: Directory) -> list[Child]:
        return answers.pop()

    async def no_size(file: object) -> None:
        pytest.fail("all sizes are known")

    def make(version: int) -> list[Child]:
        return [
            a_file(f"{n}.dwg", version=f"{n}?version={version if n % 2 else 1}")
            for n in range(ENTRIES)
        ]

    changed: list[int] = []
    steps = Steps()

    async def with_listings(work: str) -> None:
        store = ListingStore(tmp_path, "me")
        async with trio.open_nursery() as nursery:
            listings = Listings(
                list_children, no_size, nursery, freshness=Freshness(), timeout_s=60,
                service_folders=False, store=store,
            )  # fmt: skip
            listings.subscribe(lambda _, names: changed.append(len(names)))
            steps.before_task_step(trio.lowlevel.current_task())
            trio.lowlevel.add_instrument(steps)
            if work == "list":
                await listings.renew(WIDE)
            found = await listings.get(WIDE)
            if work == "list":
                listings.cache.on_suspend(3600)
                await listings.renew(WIDE)
            trio.lowlevel.remove_instrument(steps)
            assert len(found.entries) == ENTRIES
        store.close()

    @real
    async def all_of_it() -> None:
        answers.extend([make(2), make(1)])
        await with_listings("list")
        await with_listings("recall")

    all_of_it()
    assert answers == []
    assert changed == [ENTRIES // 2]
    assert steps.longest_s < LONGEST_S, steps.task
