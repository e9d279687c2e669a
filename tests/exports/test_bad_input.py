"""What cannot be exported, and why: one line, and nothing ordered that need not be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dmfs.assembly import open_drive
from dmfs.errors import DriveError, NoRoomError, SetupError, UsageError
from dmfs.jobs.export import landing
from tests.exports.exporting import PROJECT, directory_at, exported, of_kind, posts
from tests.support.helpers import real

ONE, TWO = f"{PROJECT}/Part 001.url", f"{PROJECT}/Part 002.url"


def orders(emulator):
    return sum(posts(emulator).values())


def one_line(error):
    assert isinstance(error, DriveError)
    assert "\n" not in error.message + error.hint
    return f"{error.message} — {error.hint}"


@pytest.fixture
def out(tmp_path) -> Path:
    made: Path = tmp_path / "out"
    made.mkdir()
    return made


@real
async def test_paths_that_are_no_designs(emulator, settings, out):
    async with open_drive(settings()) as drive:
        for path, error_type, words in (
            (PROJECT, UsageError, "-r exports all designs"),
            ("/Bench Fusion", UsageError, "-r exports"),
            (f"{PROJECT}/Part 001", DriveError, "Part 001.url"),
        ):
            _, error = await exported(drive, path, output=str(out))
            assert isinstance(error, error_type)
            assert words in one_line(error)
        _, error = await exported(drive, ONE, keep=True)
        assert error is None
        _, error = await exported(drive, f"{PROJECT}/Part 001.f3z", output=str(out))
        assert isinstance(error, UsageError)
        assert "copy it" in one_line(error)
    assert orders(emulator) == 1


@real
async def test_a_format_that_is_not_offered_names_those_that_are(emulator, settings, out):
    async with open_drive(settings()) as drive:
        _, error = await exported(drive, ONE, output=str(out), format="usdz")
        assert "f3z, step" in one_line(error)
        _, error = await exported(drive, PROJECT, output=str(out), format="usdz", recursive=True)
        assert isinstance(error, UsageError)
        assert "f3z, step" in one_line(error)
    assert orders(emulator) == 0
    assert list(out.iterdir()) == []


@real
async def test_a_sign_in_that_may_only_read_is_told_the_remedy_before_anything(
    emulator, settings, out
):
    async with open_drive(settings(scopes="data:read")) as drive:
        _, error = await exported(drive, ONE, output=str(out))
        assert "data:create" in one_line(error)
        assert "dmfs login --write" in one_line(error)
    chosen = settings(client_id=emulator.client_id, client_secret=emulator.client_secret,
                      sign_in="app")  # fmt: skip
    async with open_drive(chosen) as drive:
        assert drive.parts.exports is not None
        with pytest.raises(DriveError) as caught:
            await drive.parts.exports.tools.require_orders()
        assert "persons" in one_line(caught.value)
    assert orders(emulator) == 0


@real
async def test_a_directory_that_is_not_there_or_takes_nothing(emulator, settings, tmp_path):
    (tmp_path / "file").write_text("x")
    async with open_drive(settings()) as drive:
        for place in ("nowhere", "file"):
            _, error = await exported(drive, ONE, output=str(tmp_path / place))
            assert isinstance(error, SetupError)
            assert place in one_line(error)
        _, error = await exported(drive, ONE)
        assert isinstance(error, UsageError)
    assert orders(emulator) == 0


@real
async def test_nobodys_own_file_makes_way_and_an_older_export_does(emulator, settings, out):
    mine = out / "Part 001.f3z"
    mine.write_text("mine")
    async with open_drive(settings()) as drive:
        events, error = await exported(drive, ONE, TWO, output=str(out))
        assert of_kind(events, "failed")[0]["path"] == ONE
        assert "another file" in of_kind(events, "failed")[0]["message"]
        assert error is not None
        assert (mine.read_text(), orders(emulator)) == ("mine", 1)
        two = out / "Part 002.f3z"
        before = two.read_bytes()
        assert oct(two.stat().st_mode & 0o777) == "0o644"
        emulator.change("new_version", path=f"{PROJECT}/Part 002".strip("/"))
        await drive.parts.listings.list_again(await directory_at(drive, PROJECT))
        _, error = await exported(drive, TWO, output=str(out))
        assert error is None
        assert two.read_bytes() != before
        two.write_bytes(b"changed by hand")
        os.utime(two)
        events, error = await exported(drive, TWO, output=str(out))
        assert "another file" in of_kind(events, "failed")[0]["message"]
        assert two.read_bytes() == b"changed by hand"
    assert sorted(each.name for each in out.iterdir()) == ["Part 001.f3z", "Part 002.f3z"]


@real
async def test_a_copy_of_the_same_content_counts_as_there(emulator, settings, out):
    async with open_drive(settings()) as drive:
        await exported(drive, ONE, output=str(out))
        place = out / "Part 001.f3z"
        data = place.read_bytes()
        place.unlink()
        place.write_bytes(data)  # without any mark
        events, error = await exported(drive, ONE, output=str(out))
        assert error is None
        assert events[-1]["there"] == 1
    assert orders(emulator) == 1


@real
async def test_failed_jobs_are_named_at_the_end_and_ordered_anew_by_the_next_command(
    emulator, settings, out
):
    emulator.export_rule(match={"name": "Part 002*"}, outcome="failed", times=1)
    async with open_drive(settings()) as drive:
        events, error = await exported(drive, PROJECT, output=str(out), recursive=True)
        assert "1 of 40" in one_line(error)
        assert [each["path"] for each in of_kind(events, "failed")] == [TWO]
        kinds = [each["event"] for each in events]
        assert kinds.index("failed") > max(i for i, kind in enumerate(kinds) if kind == "exported")
        assert len(list(out.iterdir())) == 39
        emulator.reset()
        events, error = await exported(drive, PROJECT, output=str(out), recursive=True)
        assert error is None
        assert (events[-1]["exported"], events[-1]["there"]) == (1, 39)
    assert sorted(posts(emulator).values()) == [1] * 39 + [2]


@real
async def test_a_job_without_an_end_is_waited_for_as_long_as_the_setting_says(
    emulator, settings, out
):
    emulator.export_rule(match={"name": "Part 001*"}, outcome="processing")
    async with open_drive(settings(export_timeout=0.3)) as drive:
        events, error = await exported(drive, ONE, TWO, output=str(out))
        assert error is not None
        assert "still makes it" in of_kind(events, "failed")[0]["message"]
        _, error = await exported(drive, ONE, output=str(out))
        assert error is not None, "it goes on waiting"
    assert list(posts(emulator).values()) == [1, 1]


@pytest.mark.parametrize("outcome", ["vanished", "lost"])
@real
async def test_what_is_gone_before_it_was_fetched(outcome, emulator, settings, out):
    emulator.export_rule(match={"name": "Part 001*"}, outcome=outcome, times=1)
    async with open_drive(settings()) as drive:
        events, error = await exported(drive, ONE, output=str(out))
        assert error is not None
        words = of_kind(events, "failed")[0]
        assert "the service" in words["message"]
        assert "same command" in words["hint"]
        assert list(out.iterdir()) == []
        assert orders(emulator) == 1, "not again by itself"
        _, error = await exported(drive, ONE, output=str(out))
        assert error is None
    assert orders(emulator) == 2


@real
async def test_an_answer_that_is_lost_leaves_it_in_doubt_and_orders_nothing_more(
    emulator, settings, out
):
    emulator.fault("reset_before_headers", route="downloads_post", times=1)
    async with open_drive(settings()) as drive:
        for _ in range(2):
            events, error = await exported(drive, ONE, output=str(out))
            assert error is not None
            failed = of_kind(events, "failed")[0]
            assert "nobody can tell" in failed["message"] + failed["hint"]
        assert orders(emulator) == 1


@real
async def test_a_disk_that_is_full_ends_it_and_leaves_nothing_half(
    emulator, settings, out, monkeypatch
):
    def full(*_given):
        raise OSError(28, "No space left on device")

    async with open_drive(settings()) as drive:
        monkeypatch.setattr(landing._New, "add", full)
        _, error = await exported(drive, ONE, output=str(out))
        assert isinstance(error, NoRoomError)
        assert "same command" in one_line(error)
        assert list(out.iterdir()) == []
        monkeypatch.undo()
        _, error = await exported(drive, ONE, output=str(out))
        assert error is None
    assert orders(emulator) == 1


@real
async def test_a_cache_that_is_too_small_for_what_is_to_be_kept(emulator, settings):
    emulator.exports(size_bytes=2**22)
    async with open_drive(settings(cache_size=2**20)) as drive:
        events, error = await exported(drive, ONE, keep=True)
        assert isinstance(error, NoRoomError), events
        assert await drive.parts.blocks.disk.held() == set()
        listing = await drive.list(await directory_at(drive, PROJECT))
        assert "Part 001.f3z" not in listing.names


@real
async def test_formats_are_asked_once_a_day_for_each_type(emulator, settings, out):
    for _ in range(2):
        async with open_drive(settings()) as drive:
            await exported(drive, PROJECT, output=str(out), recursive=True)
    asked = [each for each in emulator.calls()["log"] if each["route"] == "download_formats"]
    assert len(asked) == 1
