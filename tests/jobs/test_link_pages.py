"""The page of an entry, and where an id is listed: without a service."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dmfs.compact import shorten
from dmfs.errors import DriveError
from dmfs.jobs.links.page import page_of
from dmfs.jobs.links.wanted import is_named, searched_for
from dmfs.model import (
    Child,
    File,
    Folder,
    FolderId,
    Hub,
    HubId,
    ItemId,
    Node,
    Project,
    ProjectId,
    Root,
    Shortcut,
    WrittenFile,
)
from dmfs.namespace.known.by_id import ById
from dmfs.namespace.listing_cache import Freshness, ListingCache
from dmfs.namespace.listing_codec import Record
from dmfs.namespace.listing_store import ListingStore
from dmfs.system.clock import Moment
from dmfs.web_links.link import WebLink, to_base64
from dmfs.web_links.parse import parse
from tests.support.helpers import a_file, real

GUID = "2def426a-c49a-4c35-9d9a-0290e254fc1d"
ACCOUNT = Hub(HubId(f"b.{GUID}"), "Account")
PROJECT = Project(ProjectId(f"b.{GUID}"), ACCOUNT.id, "Project")
TEAM = Hub(HubId("a." + to_base64("business:acme")), "Acme")
TEAM_PROJECT = Project(ProjectId("a." + to_base64("business:acme#2024")), TEAM.id, "Gearbox")
FOLDER = FolderId("urn:adsk.wipprod:fs.folder:co.UsB53XBJRImqqduVL3GDKA")
ITEM = ItemId("urn:adsk.wipprod:dm.lineage:DhjDDASORpuXQzjXyWNTGg")
VERSION = "urn:adsk.wipprod:fs.file:vf.DhjDDASORpuXQzjXyWNTGg?version=3"


def a_folder(project: Project, **more: Any) -> Folder:
    return Folder(FOLDER, project.id, project.hub_id, "Plans", **more)


def an_item(project: Project, **more: Any) -> File:
    return a_file(
        "plan.dwg", item_id=ITEM, version=VERSION, folder_id=FOLDER, project_id=project.id,
        hub_id=project.hub_id, **more,
    )  # fmt: skip


def a_shortcut(project: Project, url: str) -> Shortcut:
    return Shortcut(ITEM, None, FOLDER, project.id, project.hub_id, "Housing.url", b"", web_url=url)


NODES: list[tuple[Node, Project | None]] = [
    (ACCOUNT, None),
    (PROJECT, PROJECT),
    (a_folder(PROJECT), PROJECT),
    (an_item(PROJECT), None),
    (TEAM, None),
    (TEAM_PROJECT, TEAM_PROJECT),
    (a_folder(TEAM_PROJECT), TEAM_PROJECT),
    (an_item(TEAM_PROJECT), None),
    # the start page of a product says nothing of the design
    (a_shortcut(TEAM_PROJECT, "https://fusion.online.autodesk.com/"), TEAM_PROJECT),
]


@pytest.mark.parametrize(("node", "project"), NODES)
def test_a_page_that_the_service_does_not_name_is_built(
    node: Node, project: Project | None
) -> None:
    link = parse(page_of(node, project))
    match node:
        case Hub():
            assert link in (WebLink(hub_id=ACCOUNT.id), WebLink(team="acme"))
        case Project():
            assert is_named(link, node)
        case Folder():
            assert link.entity_id == node.id
        case File() | Shortcut():
            assert link.entity_id == node.item_id
            assert link.folder_id == FOLDER
    if isinstance(node, File):
        assert parse(page_of(node, project, of_version=True)).version_number == 3


def test_the_services_own_link_goes_first_if_it_says_what_is_meant() -> None:
    own = f"https://acc.gbr.autodesk.com/docs/files/projects/{GUID}?entityId={ITEM}"
    file = an_item(PROJECT, link=shorten(own, []))
    assert page_of(file) == own
    assert parse(page_of(file, of_version=True)).version_id == VERSION
    for strange in ("file:///etc/passwd", "https://user@acc.autodesk.com/", "x", own[:-4]):
        page = page_of(an_item(PROJECT, link=strange))
        assert page.startswith("https://acc.autodesk.com/")


def test_a_built_page_is_at_the_site_of_its_project() -> None:
    shown = replace(PROJECT, web_url=f"https://acc.deu.autodesk.com/docs/files/projects/{GUID}")
    assert page_of(an_item(PROJECT), shown).startswith("https://acc.deu.autodesk.com/docs")
    emea = replace(an_item(PROJECT), item_id=ItemId(ITEM.replace("wipprod", "wipemea")))
    assert page_of(emea).startswith("https://acc.autodesk.eu/docs")


def test_what_the_service_does_not_have_has_no_page() -> None:
    draft = WrittenFile(
        ItemId(""),
        "",
        a_file("x").storage_id,
        FOLDER,
        PROJECT.id,
        ACCOUNT.id,
        "new.dwg",
        5,
        key="k",
    )
    local = replace(a_folder(PROJECT), id=FolderId("local:" + "0" * 32))
    odd = Hub(HubId("a.b3RoZXI"), "Odd")
    for node, word in (
        (draft, "no web page yet"), (local, "this machine alone"), (Root(), "as a whole"),
        (odd, "names no web page"),
    ):  # fmt: skip
        with pytest.raises(DriveError, match=word):
            page_of(node)


@real
async def test_the_disk_finds_who_lists_an_id_and_the_way_there(tmp_path: Path) -> None:
    store = ListingStore(tmp_path, "me")
    folder, file = a_folder(PROJECT), an_item(PROJECT)
    chain: list[tuple[Any, str, str, Child]] = [
        (Root(), "", "Account", ACCOUNT),
        (ACCOUNT, "root", "Project ~1234", PROJECT),
        (PROJECT, ACCOUNT.identity, "Plans", folder),
        (folder, PROJECT.identity, "plan ~5.dwg", file),
    ]
    for directory, parent, name, child in chain:
        entries: dict[str, Child] = {name: child}
        if directory is folder:  # long enough to lie in a file of its own
            entries |= {
                f"{n:04d} {'x' * 60}": replace(
                    file, item_id=ItemId(f"{n}"), name=f"{n:04d} {'x' * 60}"
                )
                for n in range(800)
            }
        record = Record(
            moment=Moment.now(), directory=directory, parent=parent, rollup_ns=None, entries=entries
        )
        await store.save(record)
    by_id = ById(ListingCache(Freshness()), store)

    def wanted(child: Child) -> bool:
        return isinstance(child, File) and child.item_id == ITEM

    for text in (ITEM, searched_for(WebLink(version_id=VERSION))):
        (holder,) = await by_id.holders(text, wanted)
        assert (holder.name, holder.directory) == ("plan ~5.dwg", folder)
    assert await by_id.way(folder.identity) == "/Account/Project ~1234/Plans"
    assert await by_id.holders("urn:adsk.wipprod:dm.lineage:none", wanted) == []
    # it was moved: where it was listed last goes first, whatever else still lists it
    later = replace(folder, id=FolderId(f"{FOLDER}2"))
    for seconds, directory in ((-60, replace(folder, id=FolderId(f"{FOLDER}1"))), (60, later)):
        moment = Moment((Moment.now()[0] + seconds, *Moment.now()[1:]))
        await store.save(
            Record(
                moment=moment, directory=directory, parent="", rollup_ns=None, entries={"p": file}
            )
        )
    holders = await by_id.holders(ITEM, wanted)
    assert (len(holders), holders[0].directory) == (3, later)
    other = ById(ListingCache(Freshness()), ListingStore(tmp_path, "another sign-in"))
    assert await other.holders(ITEM, wanted) == []
    assert await other.way(folder.identity) == ""
    await store.forget(ACCOUNT.identity)
    assert await by_id.way(folder.identity) == "", "a part of the way is not known"
    store.close()
