"""What the storage and the service do to an upload over sockets: it arrives once, whole, or a
person is told."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio

from dmfs.write.records import State
from tests.support.helpers import real
from tests.write.upload.test_upload_wire import MIB, OURS, Folder, sha256
from tests.write.upload.test_upload_wire import folder as folder  # noqa: PLC0414 - a fixture
from tests.write.upload.wire import DRAFT, driving, hurry

pytestmark = pytest.mark.process
TWO_PARTS = random.Random(5).randbytes(9 * MIB)
Arrange = Callable[[Folder], Any]


def _fault(kind: str, route: str = "cdn_put", **words: Any) -> Arrange:
    return lambda folder: folder.emulator.fault(kind, route=route, **words)


def _settings(**changes: Any) -> Arrange:
    return lambda folder: folder.emulator.settings(**changes)


def _race(route: str, order: dict[str, Any], **words: Any) -> Arrange:
    return lambda folder: folder.emulator.race(route, order, **words)


LOCK: dict[str, Any] = {
    "status": 403, "code": "ERR_WIP_ERROR", "title": "RESERVATION_LINEAGE_RESERVED",
    "detail": "[WIP] The target lineage is reserved and can only be modified by the reserving user",
}  # fmt: skip
PASSING: dict[str, Arrange] = {
    "request timeout": _fault("request_timeout"),
    "slow down": _fault("slow_down", times=2),
    "corrupted on arrival": _fault("corrupt_upload"),
    "no ETag": _fault("no_etag"),
    "another ETag": _fault("changed_etag"),
    "expired URLs": _fault("expired_url", times=2),
    "cut in the middle": _fault("reset_mid_upload"),
    "cut after a part": _fault("reset_before_headers"),
    "ETags that are no MD5": _settings(etag_form="opaque"),
    "an accelerated host that is away": _settings(accelerate_base="http://127.0.0.1:9"),
    "a session that ends": _race("cdn_put", {"op": "end_sessions"}, when="before"),
    "URLs that end": _race("cdn_put", {"op": "expire_urls"}, when="before"),
    "a storage that moves": _settings(storage_moves=True),
    "a sha1 that comes late": _settings(sha1_lag_s=30),
    "listings that lag": _settings(list_lag_s=1),
    "the size of another": _fault("wrong_size", "items_post"),
    "busy": _fault("status", "items_post", status=429, shape="gateway", retry_after=1),
    "processing": _fault("status", "items_post", status=409, detail="it is being copied"),
}


@pytest.mark.parametrize("what", PASSING)
def test_it_arrives_once_and_whole(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    hurry(monkeypatch, folder.emulator)
    PASSING[what](folder)
    if "ETag" in what or "corrupted" in what or "cut after" in what:
        folder.unavoidable.add("part_sent_again")

    @real
    async def scenario() -> None:
        async with driving(folder.where, tmp_path / "spool") as drive:
            await drive.write(TWO_PARTS)
            outcome = await drive.upload(drive.new("Plan.dwg"))
            assert outcome.kind == "posted", outcome
            assert outcome.file is not None
            assert outcome.file.size_bytes == len(TWO_PARTS)

    scenario()
    assert folder.versions() == [("Plan.dwg", sha256(TWO_PARTS))]


@pytest.mark.parametrize("status", [200, 400])
def test_a_completion_that_failed_is_one_whatever_its_status(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """The first part is corrupted on its way, and its ETag says nothing."""
    hurry(monkeypatch, folder.emulator)
    folder.emulator.settings(failed_completion_status=status)
    folder.emulator.fault("corrupt_upload", route="cdn_put")
    folder.emulator.fault("no_etag", route="cdn_put")
    folder.unavoidable.add("part_sent_again")

    @real
    async def scenario() -> None:
        async with driving(folder.where, tmp_path / "spool") as drive:
            await drive.write(OURS)
            assert (await drive.upload(drive.new("Plan.dwg"))).kind == "posted"

    scenario()
    assert folder.versions() == [("Plan.dwg", sha256(OURS))]


@real
async def test_a_lock_is_told_and_waited_for(folder: Folder, tmp_path: Path) -> None:
    folder.theirs("Plan.dwg", "base")
    folder.place.change("reserve", "Plan.dwg", user="BOBEMU000002")
    async with driving(folder.where, tmp_path / "spool") as drive:
        await drive.write(OURS)
        drive.order(await drive.base("Plan.dwg"))
        while not drive.states or drive.states[-1][0] is not State.WAITING:
            await trio.sleep(0.01)
        assert drive.states[-1][1] == "locked by Bob Emulated"
        folder.place.change("unreserve", "Plan.dwg")
        drive.uploader.nudge()
        assert (await drive.uploader.wait(DRAFT)).kind == "posted"
    assert folder.versions()[-1] == ("Plan.dwg", sha256(OURS))


@real
async def test_a_lock_between_the_look_and_the_post(folder: Folder, tmp_path: Path) -> None:
    folder.theirs("Plan.dwg", "base")
    folder.emulator.fault("status", route="versions_post", **LOCK)
    async with driving(folder.where, tmp_path / "spool") as drive:
        await drive.write(OURS)
        drive.order(await drive.base("Plan.dwg"))
        while not drive.states or drive.states[-1][0] is not State.WAITING:
            await trio.sleep(0.01)
        drive.uploader.nudge()
        assert (await drive.uploader.wait(DRAFT)).kind == "posted"


@real
async def test_a_folder_that_is_deleted_in_the_middle(folder: Folder, tmp_path: Path) -> None:
    order = {"op": "hide", "path": folder.place.path}
    folder.emulator.race("complete", order)
    async with driving(folder.where, tmp_path / "spool") as drive:
        await drive.write(OURS)
        outcome = await drive.upload(drive.new("Plan.dwg"))
        assert (outcome.kind, outcome.reason) == ("failed", "the folder was deleted")


@real
async def test_an_item_that_is_deleted_in_the_middle(folder: Folder, tmp_path: Path) -> None:
    folder.theirs("Plan.dwg", "base")
    folder.emulator.race("complete", {"op": "hide", "path": f"{folder.place.path}/Plan.dwg"})
    async with driving(folder.where, tmp_path / "spool") as drive:
        await drive.write(OURS)
        outcome = await drive.upload(await drive.base("Plan.dwg"))
        assert outcome.kind == "posted", outcome
    assert folder.versions() == [("Plan.dwg", sha256(OURS))]


@real
async def test_a_right_that_is_lost_is_told(folder: Folder, tmp_path: Path) -> None:
    order = {
        "op": "level", "path": folder.place.path, "user": "ADAEMU000001", "level": "view",
    }  # fmt: skip
    folder.emulator.race("complete", order)
    async with driving(folder.where, tmp_path / "spool") as drive:
        await drive.write(OURS)
        outcome = await drive.upload(drive.new("Plan.dwg"))
        assert outcome.kind == "failed"
        assert "permission" in outcome.reason
        folder.emulator.change("level", path=folder.place.path, user="ADAEMU000001", level=None)
        assert (await drive.upload(drive.new("Plan.dwg"))).kind == "posted"
    assert folder.emulator.counts()["storage"] == 1


@real
async def test_an_empty_file(folder: Folder, tmp_path: Path) -> None:
    async with driving(folder.where, tmp_path / "spool") as drive:
        await drive.write(b"")
        outcome = await drive.upload(drive.new("Empty.dwg"))
        assert outcome.kind == "posted", outcome
    assert folder.versions() == [("Empty.dwg", sha256(b""))]


@real
async def test_the_holding_area_is_told(folder: Folder, tmp_path: Path) -> None:
    folder.emulator.change("naming", path=folder.place.path, pattern="??-*.dwg")
    async with driving(folder.where, tmp_path / "spool") as drive:
        await drive.write(OURS)
        assert (await drive.upload(drive.new("Plan.dwg"))).kind == "posted"
        assert "holding-area" in [kind for kind, _ in drive.events]


@pytest.mark.parametrize("happened", [False, True], ids=["before", "after"])
def test_a_look_for_a_lost_completion_that_fails_too(
    folder: Folder, tmp_path: Path, happened: bool
) -> None:
    """Nothing was seen: the next try begins with a look."""
    emulator = folder.emulator
    emulator.settings(lost_look_s=60)
    emulator.fault("status", route="complete", status=500, after_effect=happened)
    emulator.fault("status", route="details", status=409)

    @real
    async def scenario() -> None:
        async with driving(folder.where, tmp_path / "spool") as drive:
            await drive.write(OURS)
            assert (await drive.upload(drive.new("Lost.dwg"))).kind == "posted"

    scenario()
    assert folder.versions() == [("Lost.dwg", sha256(OURS))]
    assert emulator.violations() == {}
