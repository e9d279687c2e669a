"""SIGKILL before and after each commit and each call, with a real spool: the next process goes on,
and exactly one version comes of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import pytest

from dmfs.emulator.process import EmulatorProcess
from dmfs.write.records import Target
from dmfs.write.upload.plan.records import UploadRow
from tests.support.helpers import real
from tests.write.upload.test_upload_wire import Folder, sha256
from tests.write.upload.wire import DRAFT, Victims, driving, hurry, victims

pytestmark = pytest.mark.process
TEXT, TIMES = "ours ", 1000
OURS = TEXT.encode() * TIMES
ONLY_VERSION = ("tip.", "look.", "post.", "posted.", "adopt", "close.")
"""What is different where a version is made instead of an item."""


@pytest.fixture(scope="module")
def killer() -> Iterator[Victims]:
    with victims() as found:
        yield found


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch, emulator: EmulatorProcess) -> None:
    hurry(monkeypatch, emulator)


async def _passed(folder: Folder, directory: Path, *, version: bool) -> list[tuple[str, int]]:
    """The failpoints of an upload that nothing happens to."""
    points: list[str] = []
    async with driving(folder.where, directory, points.append) as drive:
        await drive.write(OURS)
        target = await drive.base("Plan.dwg") if version else drive.new("First.dwg")
        assert (await drive.upload(target)).kind == "posted"
    seen: Counter[str] = Counter()
    found = []
    for name in points:
        found.append((name, seen[name]))
        seen[name] += 1
    return found


@pytest.mark.parametrize("version", [False, True], ids=["item", "version"])
def test_a_kill_at_each_step_ends_in_one_version(
    emulator: EmulatorProcess, tmp_path: Path, killer: Victims, version: bool
) -> None:
    folder = Folder(emulator)
    if version:
        folder.theirs("Plan.dwg", "base")

    points: list[tuple[str, int]] = []

    @real
    async def first() -> None:
        points.extend(await _passed(folder, tmp_path / "first", version=version))

    first()
    assert len(points) >= 20
    if version:
        points[:] = [each for each in points if each[0].startswith(ONLY_VERSION)]
    for number, (point, before) in enumerate(points):
        name = f"{number}.dwg"
        if version:
            folder.theirs(name, "base")
        directory = tmp_path / str(number)
        killed = killer.run(
            where=asdict(folder.where), directory=str(directory), point=point, before=before,
            text=TEXT, times=TIMES, name=name, version=version,
        )  # fmt: skip
        assert killed, (point, before)
        _go_on(folder, directory, name, version=version)
        ours = [each for each in folder.versions() if each == (name, sha256(OURS))]
        assert len(ours) == 1, (point, before)
    assert set(emulator.violations()) <= {"part_sent_again"}, "those that were in flight"


@real
async def _go_on(folder: Folder, directory: Path, name: str, *, version: bool) -> None:
    async with driving(folder.where, directory) as drive:
        row = drive.spool.rows.get("upload", {}).get(DRAFT)
        if row is None and (name, sha256(OURS)) in folder.versions():
            return  # killed after the last step: its owner knows
        target: Target = await drive.base(name) if version else drive.new(name)
        if row is not None and version:
            target = UploadRow.of_row(row.record).wanted  # as the owner ordered it, and does now
        outcome = await drive.upload(target)
        assert outcome.kind == "posted", outcome


@pytest.mark.parametrize("point", ["details.call.before", "details.call.after"])
@pytest.mark.parametrize("happened", [False, True], ids=["lost before", "lost after"])
def test_a_kill_between_a_lost_completion_and_the_look(
    emulator: EmulatorProcess, tmp_path: Path, killer: Victims, point: str, happened: bool
) -> None:
    """The next process does not know that it was asked for, and looks all the same."""
    emulator.settings(lost_look_s=60)
    folder = Folder(emulator)
    emulator.fault("status", route="complete", status=500, after_effect=happened)
    killed = killer.run(
        where=asdict(folder.where), directory=str(tmp_path / "spool"), point=point, before=0,
        text=TEXT, times=TIMES, name="lost.dwg", version=False,
    )  # fmt: skip
    assert killed
    _go_on(folder, tmp_path / "spool", "lost.dwg", version=False)
    assert folder.versions() == [("lost.dwg", sha256(OURS))]
    assert emulator.violations() == {}
