"""The service's search: its pages, and answers that cannot be right."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest

from dmfs.aps.questions.search import PAGES_MAX, Hits, Search
from dmfs.aps.signed_in import SignedIn
from dmfs.errors import BadResponseError, DriveError
from dmfs.http.json_client import Call
from dmfs.model import Folder, FolderId, HubId, Project, ProjectId
from tests.support.helpers import real

FOLDER = Folder(FolderId("urn:f:1"), ProjectId("b.p"), HubId("b.h"), "Plans")
PATH = "/data/v1/projects/b.p/folders/urn%3Af%3A1/search"
QUERY = {"filter[name]-contains": "x"}


class Service:
    """Answers each query with what ``answer`` makes of it."""

    def __init__(self, answer: Callable[[Mapping[str, str]], Any]) -> None:
        self._answer = answer
        self.calls: list[Call] = []

    async def request(self, call: Call, decode: Callable[[Any], Any]) -> Any:
        self.calls.append(call)
        return decode(self._answer(call.params))

    async def scopes(self, requested: str) -> frozenset[str]:
        return frozenset(requested.split())


def hit(number: int, folder_id: str = "") -> tuple[Any, Any]:
    """A version and its item."""
    item_id = f"urn:i:{number}"
    version = {
        "type": "versions", "id": f"urn:v:{number}",
        "relationships": {"item": {"data": {"type": "items", "id": item_id}}},
    }  # fmt: skip
    item: Any = {"type": "items", "id": item_id}
    if folder_id:
        item["relationships"] = {"parent": {"data": {"type": "folders", "id": folder_id}}}
    return version, item


def page(*hits: tuple[Any, Any], number: int | None = None) -> dict[str, Any]:
    """An answer; ``number``: of the next page."""
    made: dict[str, Any] = {"data": [version for version, _ in hits]}
    if hits:
        made["included"] = [item for _, item in hits]
    if number is not None:
        link = f"https://other.example{PATH}?page[number]={number}&filter[name]-contains=x"
        made["links"] = {"next": {"href": link}}
    return made


async def hits_of(answer: Callable[[Mapping[str, str]], Any]) -> tuple[Hits, Service]:
    service = Service(answer)
    return await Search(cast(SignedIn, service)).hits(FOLDER, QUERY), service


@real
async def test_all_pages_and_each_home_once() -> None:
    def answer(query: Mapping[str, str]) -> Any:
        number = int(query.get("page[number]", "0"))
        assert query["filter[name]-contains"] == "x"
        more = number + 1 if number < 2 else None
        return page(hit(number, "urn:f:2"), hit(number + 10), number=more)

    found, service = await hits_of(answer)
    assert (found.folder_ids, found.count, found.pages) == ({"urn:f:2"}, 6, 3)
    assert found.homeless == {"urn:i:10", "urn:i:11", "urn:i:12"}
    assert found.is_whole
    assert {(call.route, call.path, call.method) for call in service.calls} == {
        ("search", PATH, "GET")
    }


@real
async def test_more_pages_than_the_service_gives_are_told() -> None:
    found, service = await hits_of(
        lambda query: page(number=int(query.get("page[number]", "0")) + 1)
    )
    assert not found.is_whole
    assert found.pages == len(service.calls) == PAGES_MAX


@real
async def test_no_hits_at_all() -> None:
    found, _ = await hits_of(lambda _: page())
    assert (found.count, found.folder_ids, found.is_whole) == (0, set(), True)


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"data": None},
        {"data": {"type": "versions"}},
        {"data": [{}]},
        {"data": ["version"]},
        {"data": [None]},
        {"data": [{"relationships": {"item": {"data": {"id": 7}}}}]},
        page(number=0) | {"links": {"next": {"href": f"https://x{PATH}?filter[name]-contains=x"}}},
        page() | {"links": {"next": {"href": "https://x/elsewhere?page=1"}}},
        page() | {"links": {"next": 7}},
    ],
)
@real
async def test_answers_that_cannot_be_right(answer: Any) -> None:
    with pytest.raises(BadResponseError, match="cannot search 'Plans'"):
        await hits_of(lambda _: answer)


@pytest.mark.parametrize("included", [None, {}, "items", [None], [7], [{"id": "urn:i:1"}]])
@real
async def test_hits_without_items_are_homeless(included: Any) -> None:
    found, _ = await hits_of(lambda _: page(hit(1, "urn:f:2")) | {"included": included})
    assert found.homeless == {"urn:i:1"}
    assert not found.folder_ids


@real
async def test_a_folder_and_what_it_is_in() -> None:
    row: dict[str, Any] = {
        "type": "folders", "id": "urn:f:9", "attributes": {"name": "Nine", "hidden": True},
        "relationships": {"parent": {"data": {"type": "folders", "id": "urn:f:1"}}},
    }  # fmt: skip
    search = Search(cast(SignedIn, Service(lambda _: {"data": row})))
    project = Project(FOLDER.project_id, FOLDER.hub_id, "")
    above = await search.folder(project, FolderId("urn:f:9"))
    assert (above.folder.name, above.parent_id, above.is_hidden) == ("Nine", "urn:f:1", True)
    row["attributes"] = {}
    with pytest.raises(DriveError):
        await search.folder(project, FolderId("urn:f:9"))


@real
async def test_the_scope() -> None:
    search = Search(cast(SignedIn, Service(lambda _: None)))
    assert await search.may("data:read data:search")
    assert not await search.may("data:read")
