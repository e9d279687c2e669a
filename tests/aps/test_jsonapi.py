"""JSON:API documents: next pages, warnings, rows, and any JSON at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dmfs.aps.contents import decode_contents, decode_item
from dmfs.aps.hubs import decode_hubs, decode_projects
from dmfs.aps.jsonapi import decode_warnings, next_page
from dmfs.aps.signed_urls import decode_signed
from dmfs.errors import BadResponseError
from dmfs.model import HubId
from dmfs.names import entry_names
from tests.support.answers import PROJECT, STORAGE, folder, item, page, version

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


def test_warnings_in_pascal_case() -> None:
    warning = {"Title": "Unable to get hubs.", "Detail": "No access", "HttpStatusCode": "403"}
    assert decode_warnings({"meta": {"warnings": [warning]}}) == (
        "Unable to get hubs. No access (HTTP 403)",
    )
    down = {"Title": "Unable to get hubs.", "HttpStatusCode": "503"}
    assert decode_warnings({"meta": {"warnings": [warning, down]}}, frozenset({"403"})) == (
        "Unable to get hubs. (HTTP 503)",
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


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("data included links meta url urls size".split()),
                       JSON))  # fmt: skip
def test_any_json_is_read_or_refused(answer: Any) -> None:
    check_only_bad_answers(answer)


@settings(deadline=None)
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
