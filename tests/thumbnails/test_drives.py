"""Drives over the emulator: what pictures cost, and that they cost nothing twice."""

from __future__ import annotations

from typing import Any

import trio

from dmfs.assembly import open_drive
from dmfs.drive.drive import Drive
from dmfs.emulator.process import EmulatorProcess
from dmfs.emulator.thumbnails.pictures import png
from dmfs.model import Directory, File, Node, Shortcut
from dmfs.namespace.xattrs import THUMBNAIL
from tests.support.helpers import real
from tests.thumbnails.conftest import FOLDER

AT_ONCE = 16


async def entries(drive: Drive, path: str = FOLDER) -> list[Node]:
    directory = await drive.resolve(path)
    assert isinstance(directory, Directory)
    return list((await drive.list(directory)).entries.values())


async def look_anew(drive: Drive) -> None:
    directory = await drive.resolve(FOLDER)
    assert isinstance(directory, Directory)
    await drive.parts.listings.renew(directory)


async def pictures(drive: Drive, nodes: list[Node]) -> dict[str, bytes | None]:
    """By version."""
    got: dict[str, bytes | None] = {}
    slots = trio.CapacityLimiter(AT_ONCE)

    async def one(node: File | Shortcut) -> None:
        async with slots:
            got[node.version_id or ""] = await drive.unlisted_xattr(node, THUMBNAIL)

    async with trio.open_nursery() as nursery:
        for node in nodes:
            assert isinstance(node, File | Shortcut)
            nursery.start_soon(one, node)
    return got


async def picture(drive: Drive, path: str) -> bytes | None:
    return await drive.unlisted_xattr(await drive.resolve(path), THUMBNAIL)


def calls(emulator: EmulatorProcess) -> dict[str, int]:
    """Without those of listings, and whether the service is there (``other``)."""
    listings = {"token", "hubs", "projects", "topFolders", "contents", "other"}
    return {key: n for key, n in emulator.counts().items() if n and key not in listings}


@real
async def test_the_picture_of_a_version_is_asked_for_once(emulator, settings):
    async with open_drive(settings()) as drive:
        got = await pictures(drive, await entries(drive))
        assert len(got) == 200
        assert all(version.encode() in (found or b"") for version, found in got.items())
        assert calls(emulator) == {"thumbnail": 200}
        assert await pictures(drive, await entries(drive)) == got
        async with open_drive(settings()) as second:
            assert await pictures(second, await entries(second)) == got
            assert second.gauges()["thumbnails.disk"] == 200
    assert calls(emulator) == {"thumbnail": 200}
    async with open_drive(settings()) as again:
        assert await pictures(again, await entries(again)) == got
        emulator.change("new_version", path=f"{FOLDER[1:]}/Tower 000.rvt", size=1000)
        await look_anew(again)
        newer = await pictures(again, await entries(again))
    assert calls(emulator) == {"thumbnail": 201}
    assert len(newer.keys() - got.keys()) == 1
    (version,) = newer.keys() - got.keys()
    assert newer[version] == png(version, 200)


@real
async def test_other_sign_ins_ask_for_themselves(emulator, settings):
    one = f"{FOLDER}/Tower 001.ifc"
    async with open_drive(settings()) as drive:
        assert await picture(drive, one)
    async with open_drive(settings(profile="other")) as drive:
        assert await picture(drive, one)
    assert calls(emulator) == {"thumbnail": 2}


@real
async def test_the_links_of_an_older_cache_are_learned_from_one_version(
    emulator, settings, tmp_path
):
    async with open_drive(settings()) as drive:
        await entries(drive)
    emulator.reset()
    async with open_drive(settings()) as drive:
        got = await pictures(drive, (await entries(drive))[:5])
        assert None not in got.values()
        found = emulator.counts()
        assert (found["contents"], found["thumbnail"]) == (0, 5)
        assert found["version"] == 1
    emulator.reset()
    async with open_drive(settings()) as drive:
        assert None not in (await pictures(drive, (await entries(drive))[5:20])).values()
    assert calls(emulator) == {"thumbnail": 15}


@real
async def test_regions_designs_and_files_without_pictures(emulator, settings):
    track = "/Emulated Europe/Tram Line 001/Project Files/Track 001.dwg"
    emulator.thumbnails(by_name={"*.nwd": "none", "*.ifc": "not_yet", "*.rfa": "forbidden"})
    async with open_drive(settings()) as drive:
        assert await picture(drive, track)
        assert calls(emulator) == {"thumbnail": 1}
        top = await entries(drive, "/Emulated Fusion Team/Gearbox")
        designs = [each for each in top if isinstance(each, Shortcut)]
        assert [each.extension_type for each in designs if "fusion360" in each.extension_type]
        for each in designs:
            found = await drive.unlisted_xattr(each, THUMBNAIL)
            assert (found is not None) == ("fusion360" in each.extension_type), each.name
        emulator.reset()
        for name in ("Tower 001.ifc", "Tower 002.nwd", "Tower 003.rfa"):
            for _ in range(2):
                assert await picture(drive, f"{FOLDER}/{name}") is None
        assert emulator.counts()["thumbnail"] == 3
        emulator.change("add_item", path=FOLDER[1:], name="notes.txt", size=10)
        await look_anew(drive)
        assert await picture(drive, f"{FOLDER}/notes.txt") is None
        assert await picture(drive, FOLDER) is None
        assert emulator.counts()["thumbnail"] == 3
        assert THUMBNAIL not in drive.xattrs(await drive.resolve(f"{FOLDER}/Tower 000.rvt"))
    emulator.change("hide", path=f"{FOLDER[1:]}/notes.txt")


@real
async def test_a_project_whose_pictures_are_forbidden_costs_one_more_look_and_no_more(
    emulator, settings
):
    emulator.thumbnails(by_name={"*": "forbidden"})
    async with open_drive(settings()) as drive:
        nodes = (await entries(drive))[:12]
        for node in nodes:
            assert set((await pictures(drive, [node])).values()) == {None}
    assert calls(emulator) == {"thumbnail": 12, "version": 1}


KINDS = [
    ("jpeg", None, 2), ("heavy", 100, 2), ("huge", None, 2), ("truncated", None, 2),
    ("damaged", None, 2), ("wrong_type", 200, 1), ("empty", None, 1), ("web_page", None, 2),
]  # fmt: skip
"""What the service has, the size in pixels of what is handed out, and calls."""
FAULTS: list[tuple[str, dict[str, Any], int]] = [
    ("status", {"status": 500}, 1),
    ("redirect", {"location": "/elsewhere"}, 1),
    ("reset_mid_body", {}, 1),
    ("status", {"status": 400}, 1),
    ("huge_body", {"megabytes": 3}, 2),
    ("malformed_json", {}, 2),
]


@real
async def test_only_whole_pngs_that_fit_are_handed_out(emulator, settings):
    async with open_drive(settings()) as drive:
        for number, (kind, size, count) in enumerate(KINDS):
            emulator.thumbnails(kind=kind)
            emulator.reset()
            for _ in range(2):
                found = await picture(drive, f"{FOLDER}/Tower {12 * number + 6:03d}.iam")
                assert (found is None) == (size is None), kind
                if found is not None:
                    assert int.from_bytes(found[16:20], "big") == size
            assert calls(emulator) == {"thumbnail": count}, kind


@real
async def test_faults_are_no_picture_and_no_error(emulator, settings):
    async with open_drive(settings()) as drive:
        await entries(drive)
        for number, (kind, params, count) in enumerate(FAULTS):
            fault = emulator.fault(kind, route="thumbnail", times=None, **params)
            emulator.reset()
            for _ in range(2):
                assert await picture(drive, f"{FOLDER}/Tower {12 * number + 9:03d}.f3d") is None
            assert calls(emulator) == {"thumbnail": count}, (kind, fault)
            assert "/elsewhere" not in [each["path"] for each in emulator.calls()["log"]]
            emulator.clear_faults()


@real
async def test_a_token_that_has_ended_is_renewed_for_a_picture(emulator, settings):
    async with open_drive(settings()) as drive:
        await entries(drive)
        emulator.expire_tokens()
        assert await picture(drive, f"{FOLDER}/Tower 010.3dm")


@real
async def test_offline_what_is_here_is_shown_and_nothing_else(emulator, settings):
    async with open_drive(settings()) as drive:
        assert await picture(drive, f"{FOLDER}/Tower 011.sldprt")
        await drive.resolve(f"{FOLDER}/Tower 012.rvt")
    async with open_drive(settings()) as drive:
        await entries(drive)
        drive.force_offline(True)
        emulator.reset()
        assert await picture(drive, f"{FOLDER}/Tower 011.sldprt")
        assert await picture(drive, f"{FOLDER}/Tower 012.rvt") is None
        assert calls(emulator) == {}


@real
async def test_without_a_cache_on_disk_pictures_are_of_the_moment(emulator, settings, tmp_path):
    async with open_drive(settings(cache_size=0)) as drive:
        for _ in range(2):
            assert await picture(drive, f"{FOLDER}/Tower 013.ifc")
        assert emulator.counts()["thumbnail"] == 1
    assert not (tmp_path / "cache" / "thumbnails").exists()
