"""What a tree at a moment costs, and that it is whole or an error."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trio

from dmfs.assembly import open_drive
from dmfs.emulator.world.model import Item, name_of
from dmfs.emulator.world.past import record, tree
from dmfs.errors import DriveError
from dmfs.http.client import Request, Response
from dmfs.model import File, Listing, Past, Project, ProjectId, Root, Snapshots, own_id
from dmfs.namespace.listing_store import ListingStore
from dmfs.namespace.listings import Listings
from dmfs.namespace.paths import child_of
from dmfs.namespace.poll_schedule import Periods
from dmfs.namespace.poller import Poller
from tests.support.fixtures import drive_settings, running_emulator
from tests.support.helpers import real, virtual
from tests.support.near_service import NearService, names_of
from tests.support.past_trees import Row, _row, recorded, shown

ROUND_S = 1_612_137_600.0
"""2021-02-01, after all of the world ``history``: each file that is there gets one more version, a
second after the one before."""
VERSIONS_A_CALL = 200
PROJECTS = ("Emulated Archive/Long Past", "Emulated Archive Team/Gearbox through Time")


class Service(NearService):
    """A project of the world ``history``, a round of versions later."""

    def __init__(self, path: str = PROJECTS[0]) -> None:
        super().__init__("history")
        self.project = self.find(path)
        self.node = Project(
            ProjectId(self.project.id), self.project.hub.id, self.project.name,
            root_folder_id=self.project.root.id,
        )  # fmt: skip
        mine = [each for each in self.emulator.world.items.values() if self._is_mine(each)]
        for number, item in enumerate(mine):
            of = {"text": f"round {number}\n"} if item.tip.storage else {"no_bytes": True}
            self.change("new_version", id=item.id, at=ROUND_S + number, **of)
        self.asked: list[str] = []
        """Items whose versions were requested."""

    def _is_mine(self, item: Item) -> bool:
        folder = item.parent
        above = [folder, *([folder.parent] if folder.parent else [])]
        if folder.project is not self.project or item.hidden or any(each.hidden for each in above):
            return False
        return "201" not in (name_of(item) or "")

    async def send(self, request: Request) -> Response:
        if request.url.partition("?")[0].endswith("/versions"):
            self.asked.append(request.url.partition("?")[0].split("/")[-2])
        return await super().send(request)

    def moments_s(self, count: int) -> list[float]:
        """Between its changes, the first and the last among them, and not in order."""
        world = self.emulator.world
        items = [each for each in world.items.values() if each.parent.project is self.project]
        made = [each[0] for item in items for each in record.version_moments(world, item)]
        changes = sorted({*made})
        found = [changes[n * (len(changes) - 1) // (count - 1)] + 1 for n in range(count)]
        return [*found[1::2], *found[::2]]

    def spoil(self, route: str, part: str, **fault: Any) -> None:
        """Until the faults are cleared, each call of a route whose URL has that part."""
        match = {"route": route, "contains": part.rpartition(":")[-1]}
        self.emulator.faults.add({"match": match, "times": None, **fault})

    def at(self, at_s: float) -> Past:
        return Past(self.node, round(at_s * 1e6) * 1000)

    def rows(self, at_s: float) -> list[Row]:
        return recorded(self, self.project, at_s)

    def told(self, at_s: float) -> tree.Tree:
        return tree.served_tree(self.emulator.world, self.project, at_s)

    def folders(self, at_s: float) -> set[str]:
        """Ids of what has to be listed."""
        found = {each["id"] for each in self.told(at_s).entries if each["kind"] == "folder"}
        return {self.project.id, *found}

    def changed(self, at_s: float) -> dict[str, int]:
        """By id, the items that got a newer version since: how many calls their lists cost."""
        world, folders = self.emulator.world, self.folders(at_s)
        if not self.project.hub.is_account:
            folders.add(self.project.root.id)
        found = {}
        for item in world.items.values():
            made = record.version_moments(world, item)
            is_gone = item.hidden and not self.project.hub.is_account
            if item.parent.id in folders and made[0][0] <= at_s < made[-1][0] and not is_gone:
                found[item.id] = -(-len(item.versions) // VERSIONS_A_CALL)
        return found


async def walk(listings: Listings, top: Past) -> tuple[list[Row], set[str]]:
    """What a walk finds that goes on where a folder fails, and the ids of those that failed."""
    found: list[Row] = []
    failed: set[str] = set()

    async def look(directory: Any, above: tuple[str, ...]) -> None:
        try:
            listing = await listings.get(directory)
        except DriveError:
            failed.add(directory.of.id)
            return
        for child in listing.entries.values():
            if isinstance(child, Past):
                await look(child, (*above, child.name))
            else:
                found.append(_row(child, above))

    await look(top, ())
    return sorted(found), failed


def past_of(listing: Listing, name: str) -> Past:
    found = listing.entries[name]
    assert isinstance(found, Past)
    return found


@pytest.mark.parametrize("path", PROJECTS)
@real
async def test_each_folder_and_each_changed_item_is_asked_for_once(path: str) -> None:
    """At a first moment, and at others what is not known yet."""
    service = Service(path)
    listed: set[str] = set()
    known: dict[str, int] = {}
    async with names_of(service) as drive:
        for at_s in service.moments_s(9):
            service.reset()
            service.asked.clear()
            told, folders, changed = (
                service.told(at_s),
                service.folders(at_s),
                service.changed(at_s),
            )
            assert (len(folders), len(changed)) == (told.listed, told.changed)
            assert await shown(drive.listings, service.at(at_s)) == service.rows(at_s)
            new = {each: calls for each, calls in changed.items() if each not in known}
            counts = service.counts()
            assert counts.pop("versions", 0) == sum(new.values()) == len(service.asked)
            assert sum(counts.values()) == len(folders - listed)
            assert {quote(each, safe="") for each in new} == set(service.asked)
            listed |= folders
            known |= changed
            service.reset()
            assert await shown(drive.listings, service.at(at_s)) == service.rows(at_s)
            assert service.counts() == {}
    assert len(known) > 3


@virtual
async def test_a_moment_whose_folders_are_known_lists_none() -> None:
    service = Service()
    late_s, early_s = ROUND_S + 15, ROUND_S - 1
    assert service.folders(early_s) == service.folders(late_s)
    new = service.changed(early_s).keys() - service.changed(late_s).keys()
    assert len(new) == 16 < len(service.changed(early_s))
    async with names_of(service) as drive:
        await shown(drive.listings, service.at(late_s))
        service.reset()
        await trio.sleep(86_400)
        assert await shown(drive.listings, service.at(early_s)) == service.rows(early_s)
        assert service.counts() == {"versions": len(new)}


@real
async def test_a_drive_that_opens_again_asks_for_nothing(tmp_path: Path) -> None:
    service = Service()
    at_s = ROUND_S + 10
    for opened, is_away in enumerate((False, False, True)):
        service.reset()
        service.is_away = is_away
        async with names_of(service, store=ListingStore(tmp_path, "me")) as drive:
            assert await shown(drive.listings, service.at(at_s)) == service.rows(at_s)
            assert bool(service.counts()) == (opened == 0)


@virtual
async def test_what_was_walked_is_never_asked_for_again_and_needs_no_service() -> None:
    service = Service()
    at_s = ROUND_S + 10
    rows = service.rows(at_s)
    async with names_of(service) as drive, trio.open_nursery() as nursery:
        poller = Poller(
            drive.listings, Periods(), hub_period_s=60,
            calls_for=lambda _entries: 1,
        )  # fmt: skip
        nursery.start_soon(poller.run)
        assert await shown(drive.listings, service.at(at_s)) == rows
        poller.on_use(service.at(at_s))
        service.reset()
        for _ in range(30):
            await trio.sleep(120)
            poller.on_use(service.at(at_s))
            assert await shown(drive.listings, service.at(at_s)) == rows
        assert service.counts() == {}
        assert drive.listings.fresh_for(service.at(at_s)) == math.inf
        service.is_away = True
        await trio.sleep(600)
        assert await shown(drive.listings, service.at(at_s)) == rows
        nursery.cancel_scope.cancel()


@real
async def test_bytes_of_a_moment_read_again_where_there_is_no_service(tmp_path: Path) -> None:
    folder = f"/.snapshots/@GMT-2021.01.01-00.00.00/{PROJECTS[0]}/Project Files/Models"
    with running_emulator(world="history") as emulator:
        settings = drive_settings(emulator, tmp_path)
        seen, storage = [], ""
        for is_offline in (False, True):
            async with open_drive(settings) as drive:
                drive.force_offline(is_offline)
                emulator.reset()
                file = await drive.resolve(f"{folder}/Tower.rvt")
                assert isinstance(file, File)
                storage = file.storage_id
                reader = await drive.open(file)
                data, _ = await reader.read(0, 1 << 20)
                seen.append(bytes(data))
                reader.close()
                assert any(emulator.counts().values()) != is_offline
        assert seen == [emulator.bytes(storage)] * 2


FAULTS: dict[str, dict[str, Any]] = {
    "refused": {"kind": "status", "status": 403},
    "failing": {"kind": "status", "status": 500},
    "slow": {"kind": "stall_before_effect", "seconds": None},
    "damaged": {"kind": "truncated_json"},
    "lost row": {"kind": "rotten_row", "at": 1, "how": "no_id"},
}


@pytest.mark.parametrize("how", FAULTS)
@virtual
async def test_one_version_list_that_does_not_come_fails_its_folder_alone(how: str) -> None:
    service = Service()
    at_s = ROUND_S - 1
    rows = service.rows(at_s)
    victim = next(
        service.emulator.world.items[each] for each in service.changed(at_s)
        if service.emulator.world.items[each].parent.name == "Names"
    )  # fmt: skip
    service.spoil("versions", victim.id, **FAULTS[how])
    async with names_of(service) as drive:
        found, failed = await walk(drive.listings, service.at(at_s))
        assert failed == {victim.parent.id}
        beside = {each.id for each in victim.parent.items}
        assert found == [each for each in rows if each.version and each.id not in beside]
        service.emulator.faults.clear()
        await trio.sleep(60)
        assert await shown(drive.listings, service.at(at_s)) == rows


@virtual
async def test_offline_half_way_the_rest_is_an_error_and_comes_later() -> None:
    service = Service()
    at_s = ROUND_S - 1
    rows = service.rows(at_s)
    async with names_of(service) as drive:
        top = await drive.listings.get(service.at(at_s))
        service.is_away = True
        with pytest.raises(DriveError):
            await drive.listings.get(past_of(top, "Project Files"))
        service.is_away = False
        await trio.sleep(60)
        assert await shown(drive.listings, service.at(at_s)) == rows


@pytest.mark.parametrize("how", ["no_id", "no_name", "no_type", "number"])
@virtual
async def test_a_lost_row_of_a_folder_is_no_absence(how: str) -> None:
    """Whichever it is: what is there says so, or its folder is an error; and it heals."""
    service = Service()
    at_s = ROUND_S - 1
    rows = service.rows(at_s)
    files = service.project.root.folders[0]
    names = {each.names[1] for each in rows if len(each.names) == 2}
    for index in range(len(files.folders) + len(files.items)):
        service.spoil("contents", files.id, kind="rotten_row", at=index, how=how)
        async with names_of(service) as drive:
            top = await drive.listings.get(service.at(at_s))
            try:
                listing = await drive.listings.get(past_of(top, "Project Files"))
            except DriveError:
                pass
            else:
                assert listing.incomplete or set(listing.entries) == names
            service.emulator.faults.clear()
            await trio.sleep(120)
            assert await shown(drive.listings, service.at(at_s)) == rows


@virtual
async def test_names_that_are_no_moment_are_absent() -> None:
    service = Service()
    async with names_of(service) as drive:
        snapshots = await child_of(drive.listings, Root(), ".snapshots")
        assert isinstance(snapshots, Snapshots)
        for name in (
            "@GMT-garbage", "@GMT-9999.01.01-00.00.00", "@GMT-2021.02.30-00.00.00",
            "@GMT-2021.02.01-24.00.00", "@GMT-2021.2.1-0.0.0", "@GMT-2021.02.01-00.00.00 ", "x", "",
        ):  # fmt: skip
            assert await child_of(drive.listings, snapshots, name) is None
        then = await child_of(drive.listings, snapshots, "@GMT-2021.02.01-00.00.00")
        assert then == Past(Root(), round(ROUND_S) * 10**9)
    assert service.counts() == {}


@pytest.mark.parametrize("status", [403, 404, 500])
@virtual
async def test_an_item_whose_details_do_not_come_is_no_absence(status: int) -> None:
    """Of a folder whose answer has no tips each item is asked for by itself."""
    service = Service()
    at_s = ROUND_S - 1
    rows = service.rows(at_s)
    names = service.find(f"{PROJECTS[0]}/Project Files/Names")
    names.included = "missing"
    victim = names.items[0]
    service.spoil("item", victim.id, kind="status", status=status)
    async with names_of(service) as drive:
        top = await drive.listings.get(service.at(at_s))
        files = await drive.listings.get(past_of(top, "Project Files"))
        then = past_of(files, "Names")
        try:
            listing = await drive.listings.get(then)
        except DriveError:
            pass
        else:
            ids = {own_id(each) for each in listing.entries.values()}
            assert ids == {each.id for each in rows if each.names[1:-1] == ("Names",)}
            assert listing.incomplete
            service.is_away = True
            await trio.sleep(600)
            assert (await drive.listings.get(then)).entries == listing.entries
            service.is_away = False
        service.emulator.faults.clear()
        await trio.sleep(120)
        assert await shown(drive.listings, service.at(at_s)) == rows
