"""Each call of ``Uploads`` and the part sender against the emulator, over sockets."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import pytest

from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import (
    AccessError,
    BadInputError,
    GoneError,
    InUseError,
    LockedError,
    NameTakenError,
    NotPermittedError,
    PartsRefusedError,
)
from dmfs.model import FolderId, ItemId, StorageId, VersionId
from dmfs.system.clock import wall_time_s
from tests.aps.conftest import numbers
from tests.aps.wire import Wire, wire_to
from tests.emulator.place import BOB, Place
from tests.support.fixtures import calmed
from tests.support.helpers import real

MIB = 1024 * 1024


@pytest.fixture
def place(written: EmulatorProcess) -> Iterator[Place]:
    """Of a ``b.`` project; what clients must not do was not done."""
    with calmed(written):
        yield Place(written, next(numbers))
        assert written.violations() == {}


@pytest.fixture
def team(written: EmulatorProcess) -> Iterator[Place]:
    """Of an ``a.`` project."""
    with calmed(written):
        yield Place(written, next(numbers), "Gearbox", "Emulated Fusion Team")
        assert written.violations() == {}


async def version_of(wire: Wire, item: ItemId) -> VersionId:
    tip = await wire.uploads.item(wire.project, item)
    assert tip.file is not None
    return tip.file.version_id


@pytest.mark.process  # places are asked for by name
@pytest.mark.parametrize("hub", ["place", "team"])
def test_a_file_of_several_parts_and_its_next_version(
    hub: str, request: pytest.FixtureRequest
) -> None:
    at: Place = request.getfixturevalue(hub)

    @real
    async def body() -> None:
        async with wire_to(at) as wire:
            uploads, parts = wire.uploads, [bytes([n]) * 5 * MIB for n in (1, 2)] + [b"end"]
            whole = b"".join(parts)
            storage = await uploads.storage(wire.project_id, wire.folder, "ä b.dwg")
            first = await uploads.part_urls(storage, first=1, count=2)
            assert wall_time_s() + 3600 < first.upload_ends_s < wall_time_s() + 30 * 3600
            etags = [await wire.put(first.urls[1], parts[1])]  # in any order
            etags.insert(0, await wire.put(first.urls[0], parts[0]))
            more = await uploads.part_urls(storage, first=3, count=1, upload_key=first.upload_key)
            etags.append(await wire.put(more.urls[0], parts[2]))
            assert await uploads.details(storage) is None
            size = await uploads.complete(storage, more.upload_key, len(whole), etags)
            assert size == len(whole)
            details = await uploads.details(storage)
            assert details == (size, hashlib.sha1(whole, usedforsecurity=False).hexdigest())

            posted = await uploads.new_item(wire.project_id, wire.folder, "ä b.dwg", storage)
            file = posted.file
            assert (file.version_number, file.size_bytes) == (1, size)
            assert (file.storage_id, file.folder_id, file.name) == (storage, wire.folder, "ä b.dwg")
            assert posted.conforming
            assert posted.created_by == "ADAEMU000001"
            assert wire.emulator.sha256(storage)[0] == hashlib.sha256(whole).hexdigest()

            second = await wire.uploaded(posted.item_id, "ä b.dwg", b"second")
            posted = await uploads.new_version(wire.project_id, posted.item_id, "ä b.dwg", second)
            assert (posted.file.version_number, posted.file.size_bytes) == (2, 6)
            tip = await uploads.item(wire.project, posted.item_id)
            assert tip.file is not None
            assert tip.file.version_id == posted.file.version_id
            assert (tip.reserved_by, tip.exists, tip.created_by) == ("", True, "ADAEMU000001")

    body()


@real
async def test_an_empty_file_is_one_empty_part(place: Place) -> None:
    async with wire_to(place) as wire:
        item = await wire.new_file("empty.txt", b"")
        tip = await wire.uploads.item(wire.project, item)
        assert tip.file is not None
        assert tip.file.size_bytes == 0


@real
async def test_a_file_is_renamed_deleted_and_restored(place: Place) -> None:
    async with wire_to(place) as wire:
        uploads, item = wire.uploads, await wire.new_file("a.txt")
        version = await version_of(wire, item)
        renamed = await uploads.copy_version(wire.project_id, item, version, "b.txt")
        assert (renamed.file.version_number, renamed.file.name) == (2, "b.txt")
        await uploads.delete_item(wire.project_id, item)
        tip = await uploads.item(wire.project, item)
        assert (tip.file, tip.exists) == (None, True)
        again = await uploads.copy_version(wire.project_id, item, renamed.file.version_id)
        assert (again.file.version_number, again.file.name) == (4, "b.txt")
        assert (await uploads.item(wire.project, item)).file is not None
        assert list(place.writer.listing(place.id)) == ["b.txt"]


@real
async def test_a_copy_in_another_folder(place: Place) -> None:
    async with wire_to(place) as wire:
        item = await wire.new_file("a.txt")
        other = await wire.uploads.new_folder(wire.project_id, wire.folder, "other")
        version = await version_of(wire, item)
        copied = await wire.uploads.copy_item(wire.project_id, other.id, version, "b.txt")
        assert (copied.file.version_number, copied.file.name) == (1, "b.txt")
        assert copied.item_id != item
        assert list(place.writer.listing(other.id)) == ["b.txt"]
        with pytest.raises(NameTakenError):
            await wire.uploads.copy_item(wire.project_id, other.id, version, "B.txt")


@real
async def test_an_objects_bytes_are_copied_at_the_service(team: Place) -> None:
    async with wire_to(team) as wire:
        uploads, source = wire.uploads, await wire.uploaded(wire.folder, "a.txt", b"bytes")
        await uploads.new_item(wire.project_id, wire.folder, "a.txt", source)
        place = await uploads.storage(wire.project_id, wire.folder, "b.txt")
        assert await uploads.copy_object(source, place) == 5
        posted = await uploads.new_item(wire.project_id, wire.folder, "b.txt", place)
        assert wire.emulator.bytes(posted.file.storage_id) == b"bytes"
        with pytest.raises(BadInputError):
            await uploads.copy_object(source, StorageId("urn:adsk.objects:os.object:other/b.txt"))


@real
async def test_teams_rename_in_place_and_delete_nothing(team: Place) -> None:
    async with wire_to(team) as wire:
        uploads, item = wire.uploads, await wire.new_file("a.txt")
        version = await version_of(wire, item)
        await uploads.rename_in_place(wire.project_id, item, version, "b.txt")
        tip = await uploads.item(wire.project, item)
        assert tip.file is not None
        assert (tip.file.version_number, tip.file.name, tip.name) == (1, "b.txt", "b.txt")
        folder = await uploads.new_folder(wire.project_id, wire.folder, "inner")
        assert folder.extension_type == "folders:autodesk.core:Folder"
        with pytest.raises(NotPermittedError):
            await uploads.change_folder(wire.project_id, folder.id, hidden=True)
        with pytest.raises(BadInputError):
            await uploads.delete_item(wire.project_id, item)
        with pytest.raises(BadInputError):
            await uploads.copy_version(wire.project_id, item, version, "c.txt")


@real
async def test_folders_are_made_renamed_moved_deleted_and_restored(place: Place) -> None:
    async with wire_to(place) as wire:
        uploads, project = wire.uploads, wire.project_id
        one = await uploads.new_folder(project, wire.folder, "one")
        two = await uploads.new_folder(project, wire.folder, "two")
        assert (one.name, one.project_id) == ("one", project)
        await uploads.change_folder(project, one.id, name="uno")
        await uploads.change_folder(project, one.id, parent=two.id)
        assert list(place.writer.listing(two.id)) == ["uno"]
        await uploads.change_folder(project, one.id, hidden=True)
        assert place.writer.listing(two.id) == {}
        with pytest.raises(GoneError):
            await uploads.storage(project, one.id, "a.txt")
        await uploads.change_folder(project, one.id, hidden=False, name="uno again")
        assert list(place.writer.listing(two.id)) == ["uno again"]
        with pytest.raises(NameTakenError):
            await uploads.new_folder(project, wire.folder, "TWO")
        await uploads.new_folder(project, wire.folder, "three")
        for status in (400, 409):
            wire.emulator.settings(patch_name_taken_status=status)
            with pytest.raises(NameTakenError):
                await uploads.change_folder(project, two.id, name="three")


@real
async def test_what_is_not_there_is_gone(place: Place) -> None:
    async with wire_to(place) as wire:
        nothing = FolderId("urn:adsk.wipprod:fs.folder:co.AAAAAAAAAAAAAAAAAAAAAA")
        with pytest.raises(GoneError):
            await wire.uploads.storage(wire.project_id, nothing, "a.txt")
        with pytest.raises(GoneError):
            await wire.uploads.new_folder(wire.project_id, nothing, "a")
        missing = ItemId("urn:adsk.wipprod:dm.lineage:AAAAAAAAAAAAAAAAAAAAAA")
        assert not (await wire.uploads.item(wire.project, missing)).exists
        with pytest.raises(GoneError):
            await wire.uploads.delete_item(wire.project_id, missing)


@real
async def test_permissions_by_level(place: Place) -> None:
    async with wire_to(place) as ada, wire_to(place, BOB) as bob:
        item = await ada.new_file("a.txt")
        words = ["view", "upload", "create", "updateMetaData", "delete"]
        place.change("level", user=BOB, level="upload")
        found = await bob.uploads.permissions(bob.project_id, [bob.folder, item], words)
        assert found == {bob.folder: {"view", "upload"}, item: {"view", "upload"}}
        place.change("level", user=BOB, level="view")
        with pytest.raises(AccessError) as caught:
            await bob.uploads.storage(bob.project_id, bob.folder, "b.txt")
        assert not isinstance(caught.value, LockedError)
        found = await ada.uploads.permissions(ada.project_id, [ada.folder], words)
        assert found[ada.folder] == {"view", "upload", "create", "updateMetaData"}


@pytest.mark.parametrize("status", [403, 423])
def test_a_lock_of_somebody_else(place: Place, status: int) -> None:
    @real
    async def body() -> None:
        async with wire_to(place) as wire:
            wire.emulator.settings(lock_status=status)
            item = await wire.new_file("a.txt")
            storage = await wire.uploaded(item, "a.txt", b"two")
            place.change("reserve", "a.txt", user=BOB)
            with pytest.raises(LockedError):
                await wire.uploads.new_version(wire.project_id, item, "a.txt", storage)
            tip = await wire.uploads.item(wire.project, item)
            assert (tip.reserved_by, tip.reserved_by_id) == ("Bob Emulated", BOB)
            place.change("unreserve", "a.txt")
            posted = await wire.uploads.new_version(wire.project_id, item, "a.txt", storage)
            assert posted.file.version_number == 2

    body()


@real
async def test_names_that_are_taken_and_files_that_are_busy(place: Place) -> None:
    async with wire_to(place) as wire:
        item = await wire.new_file("a.txt")
        storage = await wire.uploaded(wire.folder, "A.TXT", b"x")
        with pytest.raises(NameTakenError):
            await wire.uploads.new_item(wire.project_id, wire.folder, "A.TXT", storage)
        version = await version_of(wire, item)
        wire.emulator.settings(processing_s=30)
        posted = await wire.uploads.new_version(
            wire.project_id, item, "a.txt", await wire.uploaded(item, "a.txt", b"two")
        )
        with pytest.raises(InUseError):
            await wire.uploads.copy_version(wire.project_id, item, posted.file.version_id, "b.txt")
        assert version != posted.file.version_id


@real
async def test_a_storage_is_good_once_and_only_when_it_is_complete(place: Place) -> None:
    async with wire_to(place) as wire:
        storage = await wire.uploaded(wire.folder, "a.txt", b"x")
        await wire.uploads.new_item(wire.project_id, wire.folder, "a.txt", storage)
        half = await wire.uploads.storage(wire.project_id, wire.folder, "b.txt")
        with pytest.raises(BadInputError):
            await wire.uploads.new_item(wire.project_id, wire.folder, "b.txt", half)
        with pytest.raises(BadInputError):
            await wire.uploads.new_item(wire.project_id, wire.folder, "b.txt", storage)
    place.emulator.reset()  # that was counted


@pytest.mark.parametrize("status", [200, 400])
def test_a_completion_that_fails_names_its_parts(place: Place, status: int) -> None:
    @real
    async def body() -> None:
        async with wire_to(place) as wire:
            wire.emulator.settings(failed_completion_status=status)
            uploads = wire.uploads
            storage = await uploads.storage(wire.project_id, wire.folder, "a.txt")
            urls = await uploads.part_urls(storage, first=1, count=2)
            etag = await wire.put(urls.urls[0], b"a" * 5 * MIB)
            with pytest.raises(PartsRefusedError) as caught:
                await uploads.complete(storage, urls.upload_key, 5 * MIB + 1, [etag, "f" * 32])
            assert caught.value.parts == (2,)
            assert urls.upload_key not in str(caught.value)
            second = await wire.put(urls.urls[1], b"b")
            with pytest.raises(PartsRefusedError):
                await uploads.complete(storage, urls.upload_key, 5 * MIB + 2, [etag, second])
            size = await uploads.complete(storage, urls.upload_key, 5 * MIB + 1, [etag, second])
            assert size == 5 * MIB + 1

    body()


@real
async def test_a_naming_standard_is_told(place: Place) -> None:
    async with wire_to(place) as wire:
        place.change("naming", pattern="??-*.txt")
        storage = await wire.uploaded(wire.folder, "odd.txt", b"x")
        posted = await wire.uploads.new_item(wire.project_id, wire.folder, "odd.txt", storage)
        assert not posted.conforming
        storage = await wire.uploaded(wire.folder, "AB-1.txt", b"x")
        posted = await wire.uploads.new_item(wire.project_id, wire.folder, "AB-1.txt", storage)
        assert posted.conforming
