"""JSON:API answers, as captured and as odd as the facts say they may be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmfs.aps.item_types import Kind, is_service_folder, kind_of
from dmfs.aps.json_values import parse_time_ns
from dmfs.aps.jsonapi import (
    decode_contents,
    decode_hubs,
    decode_item,
    decode_projects,
    decode_warnings,
    next_page,
)
from dmfs.aps.signed_urls import bucket_and_key, decode_signed
from dmfs.errors import BadResponseError
from dmfs.model import (
    File,
    Folder,
    FolderId,
    HubId,
    Project,
    ProjectId,
    Shortcut,
    SignedRange,
    StorageId,
)
from dmfs.names import entry_names

HERE = Path(__file__).resolve().parents[2]
CAPTURES = next(
    (p for p in (HERE.parent / "shared/api/captures", Path("/work/shared/api/captures"))
     if p.is_dir()), None,
)  # fmt: skip
ROOT = FolderId("urn:adsk.wipprod:fs.folder:co.ROOT")
PROJECT = Project(ProjectId("b.p"), HubId("b.h"), "P", root_folder_id=ROOT)
STORAGE = "urn:adsk.objects:os.object:wip.dm.prod/9b0b.dwg"


# What was captured from the real service


def capture(name: str) -> Any:
    assert CAPTURES is not None
    return json.loads((CAPTURES / name).read_bytes())  # bytes: some begin with a BOM


needs_captures = pytest.mark.skipif(CAPTURES is None, reason="the captures are not beside us")
CONTENTS = sorted(p.name for p in CAPTURES.glob("*Contents*.json")) if CAPTURES else []


@needs_captures
@pytest.mark.parametrize("name", CONTENTS)
def test_every_captured_folder_reads_without_losing_an_entry(name: str) -> None:
    answer = capture(name)
    contents = decode_contents(answer, "list", PROJECT)
    shown = {getattr(child, "item_id", None) or child.id for child in contents.children}  # type: ignore[union-attr]
    wanted = {
        row["id"]
        for row in answer["data"]
        if not row["attributes"].get("hidden")
    }  # fmt: skip
    assert shown | {leaf.item_id for leaf in contents.tipless} == wanted
    for child in contents.children:
        assert child.name
        if isinstance(child, File):
            assert child.size_bytes is not None or not name.startswith("Recursion_")
            assert child.mtime_ns > 1_400_000_000 * 10**9
            assert child.storage_id.startswith("urn:adsk.objects:os.object:wip.dm.prod/")
        elif isinstance(child, Folder):
            assert child.rollup_ns
            assert child.rollup_ns >= (child.created_ns or 0)


@needs_captures
def test_the_captures_hold_what_they_held_when_looked_at() -> None:
    sizes = {name: len(decode_contents(capture(name), "x", PROJECT).children) for name in CONTENTS}
    assert sizes["Recursion_GetFolderContents_4.json"] == 0
    assert sizes["Recursion_GetFolderContents_6.json"] == 0
    assert sizes["Recursion_GetFolderContents_3.json"] > 5


@needs_captures
@pytest.mark.parametrize("name", ["ProjectsResponse.json", "ProjectsResponseWithPagination.json"])
def test_captured_projects(name: str) -> None:
    answer = capture(name)
    projects = decode_projects(answer, "list", HubId("b.h"))
    assert [project.id for project in projects] == [row["id"] for row in answer["data"]]
    assert all(project.name and project.root_folder_id for project in projects)
    following = answer["links"].get("next")
    assert bool(following) == ("WithPagination" in name)


@needs_captures
def test_captured_pagination_link_is_followed() -> None:
    answer = capture("FolderContentsResponseWithPagination.json")
    href = answer["links"]["next"]["href"]
    path = href.split("?")[0].split("autodesk.com", 1)[1]
    query = next_page(answer, "list", path)
    assert query is not None
    assert query["page[number]"].isdigit()


# What the facts say may come


def version(number: int = 1, item: str = "item", **attributes: Any) -> dict[str, Any]:
    values = {
        "name": "Site.dwg", "versionNumber": number, "storageSize": 100 + number,
        "createTime": "2022-05-06T08:24:41.1234567Z",
        "lastModifiedTime": "2022-05-06T08:24:46.0000000Z",
        "extension": {"type": "versions:autodesk.bim360:File"},
    }  # fmt: skip
    return {
        "type": "versions",
        "id": f"urn:{item}?version={number}",
        "attributes": values | attributes,
        "relationships": {
            "item": {"data": {"type": "items", "id": item}},
            "storage": {"data": {"type": "objects", "id": STORAGE}},
        },
    }


def item(name: str = "item", tip: str | None = "urn:item?version=1", **attributes: Any) -> Any:
    values = {
        "displayName": f"{name}.dwg", "hidden": False, "createTime": "2020-01-01T00:00:00Z",
        "extension": {"type": "items:autodesk.bim360:File"},
    }  # fmt: skip
    row: dict[str, Any] = {"type": "items", "id": name, "attributes": values | attributes}
    if tip is not None:
        row["relationships"] = {"tip": {"data": {"type": "versions", "id": tip}}}
    return row


def folder(name: str = "Plans", parent: str = "x", **attributes: Any) -> dict[str, Any]:
    return {
        "type": "folders",
        "id": f"folder {name}",
        "attributes": {"name": name, "hidden": False} | attributes,
        "relationships": {"parent": {"data": {"type": "folders", "id": parent}}},
    }


def page(*rows: Any, included: Any = None) -> dict[str, Any]:
    return {"data": list(rows)} | ({} if included is None else {"included": included})


def only(answer: dict[str, Any]) -> Any:
    contents = decode_contents(answer, "list", PROJECT)
    assert not contents.tipless
    (child,) = contents.children
    return child


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
def test_service_folders_are_told_from_folders_that_people_made(name: str) -> None:
    assert is_service_folder(name, at_root=True)
    assert not is_service_folder(name, at_root=False)
    assert only(page(folder(name, parent=ROOT))).service
    assert not only(page(folder(name, parent="deeper"))).service


@pytest.mark.parametrize("name", ["Project Files", "Plans", "For the Field", "My assets", "issues"])
def test_user_folders_at_the_root_are_shown(name: str) -> None:
    assert not is_service_folder(name, at_root=True)


# Times


@pytest.mark.parametrize(
    ("stamp", "ns"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2022-05-06T08:24:41.1234567Z", 1_651_825_481_123_456_700),
        ("2022-05-06T08:24:41.1Z", 1_651_825_481_100_000_000),
        ("2022-05-06T08:24:41.123456789Z", 1_651_825_481_123_456_789),
        ("2022-05-06T08:24:41.1234567891Z", 1_651_825_481_123_456_789),
        ("2022-05-06T08:24:41+00:00", 1_651_825_481_000_000_000),
        ("2022-05-06T13:54:41+05:30", 1_651_825_481_000_000_000),
        ("2022-05-06T04:24:41-0400", 1_651_825_481_000_000_000),
        ("1969-12-31T23:59:59.5Z", -500_000_000),
        ("2016-10-15T08:00", 1_476_518_400_000_000_000),
        ("last Tuesday", None), ("", None), ("2022-13-01T00:00:00Z", None),
        ("2022-02-30T00:00:00Z", None), ("0000-01-01T00:00:00Z", None),
    ],
)  # fmt: skip
def test_times(stamp: str, ns: int | None) -> None:
    assert parse_time_ns(stamp) == ns


# Paging

PATH = "/data/v1/projects/b.p/folders/urn%3Aadsk/contents"


def after(href: Any) -> dict[str, str] | None:
    return next_page({"links": {"next": href}}, "list", PATH)


def test_next_page_takes_only_the_query() -> None:
    query = {"page[number]": "2", "page[limit]": "200"}
    assert after({"href": f"https://x{PATH}?page%5Bnumber%5D=2&page%5Blimit%5D=200"}) == query
    assert after(f"https://evil.example{PATH}?page[number]=2&page[limit]=200") == query
    assert after({"href": f"{PATH.replace('%3A', ':')}?page[number]=2&page[limit]=200"}) == query


def test_the_last_page_names_no_next() -> None:
    answers: list[dict[str, Any]] = [{}, {"links": {}}, {"links": None}, {"links": {"next": None}}]
    for answer in answers:
        assert next_page(answer, "list", PATH) is None


@pytest.mark.parametrize(
    "href",
    ["https://x/other/path?page[number]=1", f"https://x{PATH}", "nonsense", "https://[x/?a=1"],
)
def test_a_next_page_elsewhere_is_refused(href: str) -> None:
    with pytest.raises(BadResponseError):
        after({"href": href})


@pytest.mark.parametrize("links", [5, [], "x", {"next": 5}, {"next": {"href": 5}}, {"next": []}])
def test_a_next_link_of_a_wrong_type_is_no_last_page(links: Any) -> None:
    """Taken for the end, it would cut the listing short: files would look deleted."""
    with pytest.raises(BadResponseError):
        next_page({"links": links}, "list", PATH)


# Signing


def test_signed_complete_and_fallback() -> None:
    signed = decode_signed(
        {"status": "complete", "url": "https://u", "size": 5, "sha1": "AB" * 20}, "x", 9.0
    )
    assert (signed.size_bytes, signed.sha1, signed.expires_at) == (5, "ab" * 20, 9.0)
    assert signed.parts == (SignedRange(0, 5, "https://u"),)
    signed = decode_signed({"status": "fallback", "url": "https://u", "size": 0}, "x", 9.0)
    assert (signed.size_bytes, signed.sha1) == (0, "")
    assert decode_signed({"url": "u", "size": 1, "sha1": "no"}, "x", 0).sha1 == ""


def test_signed_chunked_in_any_order() -> None:
    urls = {"10-14": "https://c", "0-4": "https://a", "5-9": "https://b"}
    signed = decode_signed({"status": "chunked", "urls": urls, "size": 15}, "x", 0)
    assert [(p.start, p.stop, p.url) for p in signed.parts] == [
        (0, 5, "https://a"), (5, 10, "https://b"), (10, 15, "https://c"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "urls",
    [
        {"0-4": "u", "6-14": "u"}, {"0-5": "u", "5-14": "u"}, {"1-14": "u"}, {"0-13": "u"},
        {"0-15": "u"}, {"0-4": "u", "0-14": "u"}, {"0-": "u"}, {"x": "u"}, {"0-14": 5}, {},
        {"-1-14": "u"}, {"0-14": None}, {"5-3": "u", "0-14": "u"},
    ],
)  # fmt: skip
def test_chunks_with_gaps_or_overlaps_are_refused(urls: Any) -> None:
    with pytest.raises(BadResponseError):
        decode_signed({"status": "chunked", "urls": urls, "size": 15}, "x", 0)


@pytest.mark.parametrize(
    "answer",
    [{}, {"url": "u"}, {"url": "u", "size": "5"}, {"url": "u", "size": -1}, {"size": 5},
     {"url": "u", "size": True}, {"url": "u", "size": 1.5}, {"size": 5, "urls": []}],
)  # fmt: skip
def test_signed_without_size_or_url_is_refused(answer: Any) -> None:
    with pytest.raises(BadResponseError):
        decode_signed(answer, "x", 0)


def test_bucket_and_key_split_at_the_first_slash() -> None:
    assert bucket_and_key(StorageId(STORAGE + "/more")) == ("wip.dm.prod", "9b0b.dwg/more")


# Wrong types


@pytest.mark.parametrize(
    "answer",
    [
        {}, {"data": None}, {"data": {}}, {"data": "x"}, {"data": [5]}, {"data": [{}]},
        {"data": [{"id": 5}]}, {"data": [{"id": ""}]},
    ],
)  # fmt: skip
def test_a_list_that_is_none_is_refused(answer: Any) -> None:
    for decode in (
        lambda: decode_hubs(answer, "x"),
        lambda: decode_projects(answer, "x", HubId("h")),
        lambda: decode_contents(answer, "x", PROJECT),
        lambda: decode_item(answer, "x", PROJECT),
    ):
        with pytest.raises(BadResponseError):
            decode()


@pytest.mark.parametrize("kind", [None, 5, "Items", "", ["items"], "foldres"])
def test_a_row_of_no_known_type_is_not_silently_dropped(kind: Any) -> None:
    with pytest.raises(BadResponseError):
        decode_contents(page(item() | {"type": kind}, included=[version()]), "x", PROJECT)


@pytest.mark.parametrize("bad", [5, ["x"], {"a": 1}, True])
def test_names_of_wrong_types_are_refused(bad: Any) -> None:
    """Under a made-up name the entry would have disappeared under its own."""
    rows = [
        page(folder(name=bad)),
        page(item(displayName=bad), included=[version(name=None)]),
        page(item(displayName=None), included=[version(name=bad)]),
    ]
    for answer in rows:
        with pytest.raises(BadResponseError):
            decode_contents(answer, "x", PROJECT)
    row = {"id": "b.x", "attributes": {"name": bad}}
    with pytest.raises(BadResponseError):
        decode_hubs({"data": [row]}, "x")
    with pytest.raises(BadResponseError):
        decode_projects({"data": [row]}, "x", HubId("h"))


@pytest.mark.parametrize("bad", [5, ["x"], {"a": 1}])
def test_a_storage_id_of_a_wrong_type_does_not_turn_a_file_into_a_shortcut(bad: Any) -> None:
    tip = version()
    tip["relationships"]["storage"]["data"]["id"] = bad
    with pytest.raises(BadResponseError):
        decode_contents(page(item(), included=[tip]), "x", PROJECT)


def test_warnings_in_pascal_case() -> None:
    warning = {"Title": "Unable to get hubs.", "Detail": "No access", "HttpStatusCode": "403"}
    assert decode_warnings({"meta": {"warnings": [warning]}}) == (
        "Unable to get hubs. No access (HTTP 403)",
    )
    assert decode_warnings({"meta": {"warnings": 5}}) == decode_warnings({}) == ()


# Anything at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats()
    | st.text(st.characters(exclude_categories=())) | st.sampled_from(
        [STORAGE, "folders", "items", "versions", "2022-05-06T08:24:41.1234567Z", "\ud800"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(
            "data included attributes relationships links next href id type name displayName"
            " hidden extension tip item storage meta warnings url urls size sha1 webView 0-4"
            " createTime storageSize versionNumber parent rootFolder".split()
        ), inner, max_size=6,
    ),
    max_leaves=40,
)  # fmt: skip


def check_only_bad_answers(answer: Any) -> None:
    for decode in (
        lambda: decode_hubs(answer, "x"),
        lambda: decode_projects(answer, "x", HubId("h")),
        lambda: entry_names(decode_contents(answer, "x", PROJECT).children),
        lambda: decode_item(answer, "x", PROJECT),
        lambda: decode_warnings(answer),
        lambda: decode_signed(answer, "x", 0.0),
        lambda: next_page(answer, "x", PATH),
    ):
        try:
            decode()
        except BadResponseError:
            pass


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from("data included links meta url urls size".split()),
                       JSON))  # fmt: skip
def test_any_json_is_read_or_refused(answer: Any) -> None:
    check_only_bad_answers(answer)


@settings(max_examples=400, deadline=None)
@given(data=st.data())
def test_any_twist_of_a_real_answer_is_read_or_refused(data: st.DataObject) -> None:
    """One value anywhere in an answer replaced by anything."""
    row = item() | {"links": {"webView": {"href": "https://x"}}}
    answer: Any = page(row, folder(), included=[version()]) | {"links": {"next": None}}
    place: Any = answer
    while True:
        key = data.draw(st.sampled_from(
            sorted(place) if isinstance(place, dict) else range(len(place))
        ))  # fmt: skip
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            place[key] = data.draw(JSON)
            break
        place = place[key]
    check_only_bad_answers(answer)


def test_lone_surrogates_are_no_bug_anywhere() -> None:
    odd = "a\ud800b"
    tip = version(item=odd, name=odd)
    del tip["relationships"]["storage"]
    for links in ({}, {"webView": {"href": odd}}):
        row = item(odd, tip["id"]) | {"links": links}
        (shortcut,) = decode_contents(page(row, included=[tip]), "x", PROJECT).children
        (name,) = entry_names([shortcut])
        name.encode()
