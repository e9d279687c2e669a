"""Folders and items, as odd as the service may answer them."""

from __future__ import annotations

from typing import Any

import pytest

from dmfs.aps.contents import decode_contents, decode_item
from dmfs.aps.item_types import Kind, is_service_folder, kind_of
from dmfs.errors import BadResponseError
from dmfs.model import File, Shortcut
from dmfs.names import entry_names
from tests.support.answers import PROJECT, ROOT, STORAGE, folder, item, only, page, version


def test_a_file_is_its_tip() -> None:
    file = only(page(item(), included=[version()]))
    assert isinstance(file, File)
    assert (file.name, file.size_bytes, file.version_number) == ("Site.dwg", 101, 1)
    assert file.storage_id == STORAGE
    assert file.mtime_ns == 1_651_825_481_123_456_700
    assert file.created_ns == 1_577_836_800 * 10**9  # of the item: a new version changes it not


def test_the_versions_name_wins_and_the_items_stands_in() -> None:
    assert only(page(item(), included=[version(name="Other.dwg")])).name == "Other.dwg"
    for missing in ("", None):
        assert only(page(item(), included=[version(name=missing)])).name == "item.dwg"


def test_included_missing_makes_items_tipless_not_lost() -> None:
    odd: list[Any] = [None, [], {}, "x", 5]
    for included in odd:
        contents = decode_contents(page(item(), folder(), included=included), "list", PROJECT)
        assert [leaf.item_id for leaf in contents.tipless] == ["item"]
        assert [child.name for child in contents.children] == ["Plans"]
    assert decode_contents(page(), "list", PROJECT).children == []


def test_a_tip_of_another_id_is_found_by_its_item_the_newest_one() -> None:
    file = only(page(item(tip="urn:else"), included=[version(1), version(3), version(2)]))
    assert file.version_number == 3
    file = only(page(item(tip=None), included=[version(2), version(1)]))
    assert file.version_number == 2


def test_hidden_and_tombstones_are_not_there() -> None:
    deleted = version(extension={"type": "versions:autodesk.core:Deleted"})
    answer = page(item(hidden=True), folder(hidden=True), included=[version()])
    assert decode_contents(answer, "list", PROJECT).children == []
    assert decode_contents(page(item(), included=[deleted]), "list", PROJECT).children == []
    assert decode_item(page() | {"data": item(hidden=True)}, "x", PROJECT) is None
    assert decode_item({"data": item(), "included": [deleted]}, "x", PROJECT) is None


def test_duplicate_ids_count_once() -> None:
    contents = decode_contents(page(item(), item(), included=[version()]), "list", PROJECT)
    assert list(entry_names(contents.children)) == ["Site.dwg"]


@pytest.mark.parametrize(
    ("kind", "storage", "shown"),
    [
        ("autodesk.bim360:File", True, File), ("autodesk.core:File", True, File),
        ("autodesk.bim360:File", False, Shortcut),
        ("autodesk.bim360:C4RModel", True, File), ("autodesk.bim360:C4RModel", False, Shortcut),
        ("autodesk.a360:CompositeDesign", True, File),
        ("autodesk.fusion360:Design", True, Shortcut),
        ("autodesk.fusion360:Drawing", False, Shortcut),
        ("autodesk.bim360:Document", True, Shortcut),
        ("autodesk.bim360:TitleBlock", True, None),
        ("autodesk.bim360:ReviewDocument", True, None),
        ("autodesk.fdx:Exchange", True, None), ("autodesk.bim360:FDX", True, None),
        ("autodesk.core:Deleted", True, None),
        ("autodesk.next.year:Invention", True, File),
        ("autodesk.next.year:Invention", False, Shortcut),
    ],
)  # fmt: skip
def test_the_kinds_table(kind: str, storage: bool, shown: type | None) -> None:
    tip = version(extension={"type": f"versions:{kind}"})
    if not storage:
        del tip["relationships"]["storage"]
    row = item(extension={"type": f"items:{kind}"})
    children = decode_contents(page(row, included=[tip]), "list", PROJECT).children
    assert [type(child) for child in children] == ([] if shown is None else [shown])


def test_hidden_wins_whichever_of_the_two_types_says_it() -> None:
    assert kind_of("items:x:File", "versions:x:Deleted") is Kind.HIDDEN
    assert kind_of("items:x:TitleBlock", "versions:x:File") is Kind.HIDDEN
    assert kind_of("", "") is Kind.FILE


def test_a_shortcut_opens_the_web_page() -> None:
    tip = version()
    del tip["relationships"]["storage"]
    row = item() | {"links": {"webView": {"href": "https://acc.autodesk.com/docs/x?y=1"}}}
    shortcut = only(page(row, included=[tip]))
    assert shortcut.name == "Site.dwg.url"
    assert shortcut.body == b"[InternetShortcut]\r\nURL=https://acc.autodesk.com/docs/x?y=1\r\n"
    built = only(page(item(), included=[tip]))
    assert b"URL=https://acc.autodesk.com/docs/files/projects/p?" in built.body


def test_a_nameless_shortcut_is_neither_hidden_nor_without_its_ending() -> None:
    """Facts 3.3: BIM 360 items with no displayName have no storage: they all come through here."""
    rows, tips = [], []
    for number in range(2):
        tip = version(item=f"i{number}", name=None)
        del tip["relationships"]["storage"]
        rows.append(item(f"i{number}", tip["id"], displayName=None))
        tips.append(tip)
    names = list(entry_names(decode_contents(page(*rows, included=tips), "x", PROJECT).children))
    assert len(names) == 2
    for name in names:
        assert name.endswith(".url")
        assert not name.startswith(".")


@pytest.mark.parametrize(
    "name",
    [
        *"checklist_1 issues_1 issue_2 dailylog_x quantification_x rfis_project_x assets_1 Photos"
        " ProjectTb submittals-attachments correspondence-project-1 meetings-project-2".split(),
        "COST Root Folder",
        "Recycle Bin",
        "01234567-89ab-cdef-0123-456789abcdef",
    ],
)
def test_service_folders_differ_from_folders_that_users_made(name: str) -> None:
    assert is_service_folder(name, at_root=True)
    assert not is_service_folder(name, at_root=False)
    assert only(page(folder(name, parent=ROOT))).service
    assert not only(page(folder(name, parent="deeper"))).service


@pytest.mark.parametrize("name", ["Project Files", "Plans", "For the Field", "My assets", "issues"])
def test_user_folders_at_the_root_are_shown(name: str) -> None:
    assert not is_service_folder(name, at_root=True)


@pytest.mark.parametrize("kind", [None, 5, "Items", "", ["items"], "foldres"])
def test_a_row_of_no_known_type_is_not_silently_dropped(kind: Any) -> None:
    with pytest.raises(BadResponseError):
        decode_contents(page(item() | {"type": kind}, included=[version()]), "x", PROJECT)


@pytest.mark.parametrize("bad", [5, ["x"], {"a": 1}])
def test_a_storage_id_of_a_wrong_type_does_not_turn_a_file_into_a_shortcut(bad: Any) -> None:
    tip = version()
    tip["relationships"]["storage"]["data"]["id"] = bad
    with pytest.raises(BadResponseError):
        decode_contents(page(item(), included=[tip]), "x", PROJECT)


def test_lone_surrogates_are_no_bug_anywhere() -> None:
    odd = "a\ud800b"
    tip = version(item=odd, name=odd)
    del tip["relationships"]["storage"]
    for links in ({}, {"webView": {"href": odd}}):
        row = item(odd, tip["id"]) | {"links": links}
        (shortcut,) = decode_contents(page(row, included=[tip]), "x", PROJECT).children
        (name,) = entry_names([shortcut])
        name.encode()
