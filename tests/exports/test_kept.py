"""What is kept is listed beside its shortcut, reads to its size, and goes with a newer version."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from dmfs.assembly import open_drive
from dmfs.errors import AccessError, GoneError, NotFoundError
from dmfs.exports import exports as exports_module
from dmfs.exports.overlay import ExportOverlay
from dmfs.exports.records import ExportedFile
from dmfs.model import File, Folder, FolderId, HubId, Listing, ProjectId, Shortcut
from tests.exports.exporting import (
    PROJECT,
    content,
    directory_at,
    exported,
    of_kind,
    posts,
    shortcut,
)
from tests.exports.test_steps import DESIGN, EXPORT
from tests.support.helpers import a_file, real

ONE = f"{PROJECT}/Part 001.url"
KEPT = f"{PROJECT}/Part 001.f3z"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(exports_module, "LOOK_S", 0.05)


async def the_file(drive, path=KEPT):
    node = await drive.resolve(path)
    assert isinstance(node, ExportedFile)
    return node


async def listed(drive):
    return (await drive.list(await directory_at(drive, PROJECT))).names


async def until(done):
    with trio.fail_after(10):
        while not await done():
            await trio.sleep(0.02)


@real
async def test_what_is_kept_reads_in_every_drive_of_the_person_without_a_call(emulator, settings):
    chosen = settings()
    async with open_drive(chosen, keeper=True) as other, open_drive(chosen) as drive:
        assert "Part 001.f3z" not in await listed(other)
        changes: list[str] = []
        other.subscribe(lambda _directory, names: changes.extend(names))
        events, error = await exported(drive, ONE, keep=True)
        assert error is None
        assert of_kind(events, "exported")[0]["to"] == KEPT
        await until(lambda: _has(other, "Part 001.f3z"))
        assert "Part 001.f3z" in changes, "the kernel hears of it"
        file = await the_file(other)
        design = await shortcut(other, ONE)
        assert file.mtime_ns == design.mtime_ns
        assert other.stat(file).size_bytes == file.size_bytes
        export_of = await other.unlisted_xattr(file, "user.dmfs.export_of")
        assert export_of == str(design.version_id).encode()
        assert "user.dmfs.export_of" not in other.xattrs(file)
        assert file.identity != design.identity
    emulator.reset()
    emulator.expire_downloads()
    async with open_drive(chosen) as drive:
        file = await the_file(drive)
        data = await content(drive, file)
        assert len(data) == file.size_bytes
        events, error = await exported(drive, ONE, keep=True)
        assert error is None, "it is here already"
        counts = emulator.counts()
        assert {route: n for route, n in counts.items() if n} == {}


async def _has(drive, name):
    return name in await listed(drive)


@real
async def test_a_newer_version_takes_it_away_until_it_is_exported_again(emulator, settings):
    async with open_drive(settings(), keeper=True) as drive:
        await exported(drive, ONE, keep=True)
        old = await the_file(drive)
        held = await drive.parts.blocks.disk.held()
        assert old.storage_id in held
        emulator.change("new_version", path=_world(ONE))
        folder = await directory_at(drive, PROJECT)
        await drive.parts.listings.list_again(folder)
        assert "Part 001.f3z" not in await listed(drive)
        with pytest.raises(NotFoundError):
            await drive.resolve(KEPT)

        async def let_go():
            return old.storage_id not in await drive.parts.blocks.disk.held()

        await until(let_go)
        _, error = await exported(drive, ONE, keep=True)
        assert error is None
        assert (await the_file(drive)).version_id != old.version_id
        assert max(posts(emulator).values()) == 1


def _world(path: str) -> str:
    """Of the emulator: with the folder that the drive does not show."""
    hub, project, name = path.strip("/").split("/")
    return f"{hub}/{project}/{name.removesuffix('.url')}"


@real
async def test_nothing_is_listed_that_can_be_read_nowhere(emulator, settings):
    async with open_drive(settings(cache_size=0)) as drive:
        await exported(drive, ONE, keep=True)
        file = await the_file(drive)
        assert len(await content(drive, file)) == file.size_bytes
    emulator.expire_downloads()
    async with open_drive(settings(cache_size=0)) as drive:
        file = await the_file(drive)
        with pytest.raises((GoneError, AccessError)):
            await drive.open(file)
        assert "Part 001.f3z" not in await listed(drive)
        _, error = await exported(drive, ONE, keep=True)
        assert error is None, "a person asked again"
        assert len(await content(drive, await the_file(drive))) > 0
        assert max(posts(emulator).values()) == 2


@real
async def test_no_lookup_and_no_open_orders_anything(emulator, settings):
    async with open_drive(settings(), keeper=True) as drive:
        for name, node in (await drive.list(await directory_at(drive, PROJECT))).entries.items():
            assert name.endswith(".url")
            assert isinstance(node, Shortcut)
            reader = await drive.open(node)
            reader.close()
            drive.xattrs(node)
        for path in (KEPT, f"{PROJECT}/Part 001.step"):
            with pytest.raises(NotFoundError):
                await drive.resolve(path)
        await trio.sleep(0.1)
    assert emulator.exports()["jobs"] == []
    assert not any(each["route"].startswith("download") for each in emulator.calls()["log"])


@real
async def test_what_was_ordered_by_a_process_that_died_is_taken_up_by_a_mount(emulator, settings):
    emulator.exports(queue_polls=1)
    async with open_drive(settings()) as drive:
        assert drive.parts.exports is not None
        maker = drive.parts.exports.maker
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: exported(drive, ONE, keep=True))

            async def ordered():
                return any(each.state == "posted" for each in maker.store.load(maker.scope))

            await until(ordered)
            nursery.cancel_scope.cancel()
    async with open_drive(settings(), keeper=True) as drive:
        await until(lambda: _has(drive, "Part 001.f3z"))
    assert list(posts(emulator).values()) == [1]


# The overlay alone

FOLDER = Folder(FolderId("f"), ProjectId("a.p"), HubId("a.h"), "Folder")
SHOWN = replace(EXPORT, state="ready", size_bytes=5, keep=True, shown=True)


def shown_in(*entries, exports=(SHOWN,)):
    overlay = ExportOverlay()
    overlay.load(exports)
    listing = Listing(FOLDER, dict(entries), 0.0)
    return overlay, overlay.apply(listing)


def test_an_export_stands_beside_the_name_that_its_shortcut_has_here():
    _, listing = shown_in(("Bracket ~1234.url", DESIGN))
    assert listing.names == ("Bracket ~1234.f3z", "Bracket ~1234.url")
    node = listing.entries["Bracket ~1234.f3z"]
    assert isinstance(node, ExportedFile)
    assert (node.size_bytes, node.export_format) == (5, "f3z")
    assert node.identity == f"export a.p {DESIGN.version_id} f3z"


def test_a_real_entry_of_that_name_goes_first():
    real_one = a_file("Bracket.f3z")
    _, listing = shown_in(("Bracket.f3z", real_one), ("Bracket.url", DESIGN))
    assert listing.entries["Bracket.f3z"] is real_one
    assert type(listing.entries["Bracket.f3z"]) is File


def test_formats_of_one_version_have_nodes_of_their_own():
    step = replace(SHOWN, format="step")
    _, listing = shown_in(("Bracket.url", DESIGN), exports=(SHOWN, step))
    assert listing.names == ("Bracket.f3z", "Bracket.step", "Bracket.url")
    assert len({each.identity for each in listing.entries.values()}) == 3


def test_only_what_is_ready_and_here_is_shown():
    _, listing = shown_in(("Bracket.url", DESIGN), exports=(replace(SHOWN, shown=False),))
    assert listing.names == ("Bracket.url",)


@pytest.mark.parametrize(("number", "outdated"), [(0, False), (1, False), (2, True), (None, False)])
def test_a_newer_version_makes_it_outdated_and_an_older_listing_does_not(number, outdated):
    other: Shortcut = replace(DESIGN, version_id=None, version_number=number)
    overlay, listing = shown_in(("Bracket.url", other))
    assert listing.names == ("Bracket.url",)
    assert (list(overlay.outdated) == [SHOWN.key]) == outdated


def test_a_design_that_its_folder_has_no_more_is_outdated_unless_the_listing_has_gaps():
    overlay, _ = shown_in()
    assert list(overlay.outdated) == [SHOWN.key]
    overlay = ExportOverlay()
    overlay.load([SHOWN])
    overlay.apply(Listing(FOLDER, {}, 0.0, lost=1))
    assert not overlay.outdated
