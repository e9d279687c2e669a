"""Uploads over sockets, to the emulator: one version each, and nobody's work under it unseen."""

from __future__ import annotations

import hashlib
import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio

from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import GoneError
from tests.emulator.place import HUB, Place
from tests.support.helpers import real
from tests.write.upload.wire import DRAFT, Drive, Where, driving, hurry

pytestmark = pytest.mark.process
MIB = 1024 * 1024
OURS = b"ours" * 1000
_NUMBERS = itertools.count()


class Folder:
    """A folder of its own, and what the emulator saw of it."""

    def __init__(
        self, emulator: EmulatorProcess, project: str = "Sample Project", hub: str = HUB
    ) -> None:
        self.emulator = emulator
        self.unavoidable: set[str] = set()
        """Kinds of violations that a test cannot do without."""
        self.place = Place(emulator, next(_NUMBERS), project, hub)
        hub = next(each["id"] for each in emulator.world()["hubs"] if each["name"] == hub)
        self.where = Where.of(emulator, hub, self.place.project["id"], self.place.id)

    def items(self) -> list[dict[str, Any]]:
        items = self.emulator.writes()["items"]
        return [each for each in items if each["folder"] == self.place.id and not each["hidden"]]

    def versions(self) -> list[tuple[str, str]]:
        """Name and sha256 of every version, item by item."""
        return [
            (version["name"], version["sha256"])
            for item in sorted(self.items(), key=lambda each: each["name"])
            for version in sorted(item["versions"], key=lambda each: each["number"])
        ]

    def theirs(self, name: str, text: str = "theirs") -> None:
        self.emulator.change("add_item", path=self.place.path, name=name, text=text)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def folder(emulator: EmulatorProcess) -> Iterator[Folder]:
    found = Folder(emulator)
    yield found
    assert set(emulator.violations()) <= found.unavoidable


@real
async def test_a_new_item_and_its_next_version(folder: Folder, tmp_path: Path) -> None:
    async with driving(folder.where, tmp_path / "spool") as drive:
        await drive.write(OURS)
        outcome = await drive.upload(drive.new("Plan.dwg"))
        assert outcome.kind == "posted", outcome
        assert outcome.file is not None
        assert outcome.file.folder_id == folder.place.id
        await drive.write(OURS + b"2")
        outcome = await drive.upload(await drive.base("Plan.dwg"))
        assert outcome.kind == "posted", outcome
    both = [("Plan.dwg", sha256(OURS)), ("Plan.dwg", sha256(OURS + b"2"))]
    assert folder.versions() == both


@real
async def test_a_teams_hub_overtakes_in_words_alone(
    emulator: EmulatorProcess, tmp_path: Path
) -> None:
    folder = Folder(emulator, "Gearbox", "Emulated Fusion Team")
    folder.theirs("Plan.dwg", "base")
    order = {"op": "new_version", "path": f"{folder.place.path}/Plan.dwg", "text": "theirs"}
    emulator.race("versions_post", order)
    async with driving(folder.where, tmp_path / "spool") as drive:
        await drive.write(OURS)
        assert (await drive.upload(await drive.base("Plan.dwg"))).kind == "posted"
        overtook = dict(drive.events)["overtook"]
        assert (overtook["number"], overtook["beside"]) == (2, "")
        await drive.write(OURS + b"2")
        assert (await drive.upload(await drive.base("Plan.dwg"))).kind == "posted"
    digests = [sha256(each) for each in (b"base", b"theirs", OURS, OURS + b"2")]
    assert folder.versions() == [("Plan.dwg", each) for each in digests]


@real
async def test_forty_mib_in_parts(folder: Folder, tmp_path: Path) -> None:
    data = random.Random(1).randbytes(40 * MIB)
    async with driving(folder.where, tmp_path / "spool") as drive:
        await drive.write(data)
        assert (await drive.upload(drive.new("Large.dwg"))).kind == "posted"
    assert folder.versions() == [("Large.dwg", sha256(data))]
    assert folder.emulator.counts()["cdn_put"] == 5


@real
async def test_a_small_change_in_a_large_file(folder: Folder, tmp_path: Path) -> None:
    data = random.Random(4).randbytes(20 * MIB)
    asked: list[int] = []

    async def read_base(start: int, length: int) -> bytes:
        asked.append(length)
        return data[start : start + length]

    async def gone(start: int, length: int) -> bytes:
        raise GoneError("the service has no such version")

    async with driving(folder.where, tmp_path / "spool") as drive:
        await drive.write(data)
        await drive.upload(drive.new("Large.dwg"))
        await drive.change(len(data), 9 * MIB + 5, b"changed")
        target = await drive.base("Large.dwg")
        outcome = await drive.upload(target, read_base=gone)
        assert (outcome.kind, outcome.reason) == ("failed", "the bytes of v1 are gone")
        assert (await drive.upload(target, read_base=read_base)).kind == "posted"
        assert "needs bytes of v1" in [reason for _, reason in drive.states]
    changed = data[: 9 * MIB + 5] + b"changed" + data[9 * MIB + 12 :]
    assert folder.versions() == [("Large.dwg", sha256(data)), ("Large.dwg", sha256(changed))]
    assert sum(asked) == 20 * MIB - 7, "each byte of the base once"


@real
async def test_a_large_part_goes_by_way_of_a_file(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dmfs.write.upload import stage

    monkeypatch.setattr(stage, "IN_MEMORY_BYTES", 4 * MIB)
    monkeypatch.setattr(stage, "CHUNK_BYTES", 3 * MIB)
    data = random.Random(2).randbytes(20 * MIB)
    async with driving(folder.where, tmp_path / "spool") as drive:
        await drive.write(data)
        assert (await drive.upload(drive.new("Large.dwg"))).kind == "posted"
    assert folder.versions() == [("Large.dwg", sha256(data))]
    assert [each.name for each in (tmp_path / "spool").glob("tmp*")] == []


@real
async def test_an_upload_that_goes_on_sends_no_part_twice(folder: Folder, tmp_path: Path) -> None:
    data = random.Random(3).randbytes(64 * MIB)
    folder.emulator.settings(cdn_put_bytes_per_s=20 * MIB)
    for run in range(2):
        async with driving(folder.where, tmp_path / "spool", parts_of_all=1) as drive:
            if drive.spool.content(DRAFT) is None:
                await drive.write(data)
            drive.order(drive.new("Large.dwg"))
            await _in_the_middle_of(drive, run + 1)
    folder.emulator.settings(cdn_put_bytes_per_s=0)
    async with driving(folder.where, tmp_path / "spool") as drive:
        assert (await drive.upload(drive.new("Large.dwg"))).kind == "posted"
    assert folder.versions() == [("Large.dwg", sha256(data))]
    counts = folder.emulator.counts()
    assert counts["storage"] == 1
    assert counts["cdn_put"] <= 8 + 2, "but for the two that were under way"


async def _in_the_middle_of(drive: Drive, parts: int) -> None:
    """Of a part, with so many others before it, all of which are journalled."""
    while True:
        [progress] = drive.uploader.progress()
        whole, rest = divmod(progress.done_bytes, 8 * MIB)
        if whole >= parts and rest > MIB:
            return
        await trio.sleep(0.005)


@real
async def test_both_sides_of_a_conflict(folder: Folder, tmp_path: Path) -> None:
    folder.theirs("Plan.dwg", "base")
    async with driving(folder.where, tmp_path / "spool") as drive:
        await drive.write(OURS)
        target = await drive.base("Plan.dwg")
        folder.place.change("new_version", "Plan.dwg", text="theirs")
        outcome = await drive.upload(target)
        assert outcome.kind == "conflict"
        assert "conflict" in dict(drive.events)
    [ours, *theirs] = folder.versions()
    assert ours == ("Plan (conflict 1).dwg", sha256(OURS))
    assert theirs[-1] == ("Plan.dwg", sha256(b"theirs"))


@real
async def test_a_writer_between_the_look_and_the_post(folder: Folder, tmp_path: Path) -> None:
    folder.theirs("Plan.dwg", "base")
    path = f"{folder.place.path}/Plan.dwg"
    folder.emulator.race("versions_post", {"op": "new_version", "path": path, "text": "theirs"})
    async with driving(folder.where, tmp_path / "spool") as drive:
        await drive.write(OURS)
        outcome = await drive.upload(await drive.base("Plan.dwg"))
        assert outcome.kind == "posted", outcome
        assert dict(drive.events)["overtook"]["number"] == 2
    copy, *plan = folder.versions()
    assert copy[0].startswith("Plan (v2 by ")
    assert copy[1] == sha256(b"theirs")
    assert plan[-1] == ("Plan.dwg", sha256(OURS))


LOST = [
    ("reset_before_effect", {}), ("reset_before_headers", {}), ("late_effect", {"seconds": 0.3}),
    ("truncated_json", {}), ("malformed_json", {"after_effect": True}),
    ("status", {"status": 500, "after_effect": True}), ("status", {"status": 500}),
]  # fmt: skip


@pytest.mark.parametrize("route", ["storage", "complete", "items_post", "versions_post"])
@pytest.mark.parametrize(("kind", "words"), LOST)
def test_a_lost_answer_is_not_a_second_version(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    route: str, kind: str, words: dict[str, Any],
) -> None:  # fmt: skip
    hurry(monkeypatch, folder.emulator)

    @real
    async def scenario() -> None:
        async with driving(folder.where, tmp_path / "spool") as drive:
            if route == "versions_post":
                folder.theirs("Plan.dwg", "base")
                target: Any = await drive.base("Plan.dwg")
            else:
                target = drive.new("Plan.dwg")
            await drive.write(OURS)
            folder.emulator.fault(kind, route=route, **words)
            outcome = await drive.upload(target)
            await trio.sleep(0.1)
            assert outcome.kind == "posted", outcome

    scenario()
    ours = [each for each in folder.versions() if each[1] == sha256(OURS)]
    assert ours == [("Plan.dwg", sha256(OURS))]
