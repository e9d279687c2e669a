"""ListRefs: which end of a relation is which, and what an answer says of the other one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.aps.questions.refs import Relation, decode_refs, lineage_of, number_of, question
from dmfs.errors import BadResponseError
from dmfs.model import ItemId, VersionId

URN = "urn:adsk.wipprod:"
HOST, WALLS, SHEET = f"{URN}dm.lineage:Host", f"{URN}dm.lineage:Walls", f"{URN}dm.lineage:Sheet"


def version(item: str, number: int) -> VersionId:
    return VersionId(f"{URN}fs.file:vf.{item.rpartition(':')[2]}?version={number}")


def row(
    source: str, user: str, kind: str = "xrefs", kinds: tuple[str, str] = ("versions", "versions"),
    **data: Any,
) -> dict[str, Any]:  # fmt: skip
    """Data flows from ``source`` to ``user``."""
    meta = {
        "refType": kind, "direction": "to", "fromId": source, "fromType": kinds[0], "toId": user,
        "toType": kinds[1], "extension": {"type": "xrefs:autodesk.core:Xref", "data": data},
    }  # fmt: skip
    return {"type": "versions", "id": source, "meta": meta}


def included_item(item: str, name: str, tip: int, **attributes: Any) -> dict[str, Any]:
    return {
        "type": "items", "id": item,
        "attributes": {"displayName": name, "hidden": False, **attributes},
        "relationships": {
            "tip": {"data": {"type": "versions", "id": version(item, tip)}},
            "parent": {"data": {"type": "folders", "id": "urn:folder"}},
        },
    }  # fmt: skip


def included_version(item: str, number: int, kind: str = "File") -> dict[str, Any]:
    extension = {"type": f"versions:autodesk.bim360:{kind}"}
    return {
        "type": "versions", "id": version(item, number),
        "attributes": {"versionNumber": number, "extension": extension},
        "relationships": {"item": {"data": {"type": "items", "id": item}}},
    }  # fmt: skip


def decoded(rows: list[Any], included: Any = (), *hosts: str) -> list[Relation]:
    answer = {"data": {"relationships": {"resources": {"data": rows}}}, "included": list(included)}
    subjects = {version(each, 5): ItemId(each) for each in hosts or (HOST,)}
    return decode_refs(answer, subjects, "ask")


def test_data_flows_from_what_is_used_to_what_uses_it() -> None:
    rows = [
        row(version(WALLS, 3), version(HOST, 5), nestedType="Overlay"),
        row(version(HOST, 5), version(SHEET, 1), "derived"),
    ]
    uses, used_by = decoded(rows)
    assert (uses.uses, uses.kind, uses.nesting) == (True, "xrefs", "overlay")
    assert (uses.other.id, uses.other.version_number) == (version(WALLS, 3), 3)
    assert (used_by.uses, used_by.kind, used_by.nesting) == (False, "derived", "")
    assert used_by.other.item_id == SHEET


def test_neither_the_id_of_a_row_nor_its_direction_counts() -> None:
    one = row(version(WALLS, 3), version(HOST, 5))
    other = {**one, "id": version(HOST, 5), "meta": {**one["meta"], "direction": "from"}}
    assert decoded([one]) == decoded([other]) == decoded([one, other])


def test_two_files_of_one_question_that_refer_to_each_other() -> None:
    found = decoded([row(version(WALLS, 5), version(HOST, 5))], (), HOST, WALLS)
    assert {(each.version_id, each.uses, each.other.id) for each in found} == {
        (version(HOST, 5), True, version(WALLS, 5)),
        (version(WALLS, 5), False, version(HOST, 5)),
    }


def test_what_is_included_tells_of_the_other() -> None:
    rows = [row(version(WALLS, 3), version(HOST, 5))]
    said = [included_item(WALLS, "Walls.dwg", 4), included_version(WALLS, 3)]
    (relation,) = decoded(rows, said)
    other = relation.other
    assert (other.name, other.tip_id, other.folder_id) == (
        "Walls.dwg", version(WALLS, 4), "urn:folder",
    )  # fmt: skip
    assert other.extension_type == "versions:autodesk.bim360:File"
    assert (other.is_described, other.is_deleted) == (True, False)
    (bare,) = decoded(rows)
    assert (bare.other.is_described, bare.other.name, bare.other.item_id) == (False, "", WALLS)


@pytest.mark.parametrize(
    "said",
    [
        [included_item(WALLS, "Walls.dwg", 4, hidden=True)],
        [included_item(WALLS, "Walls.dwg", 4), included_version(WALLS, 4, "Deleted")],
    ],
)
def test_a_deleted_one(said: list[Any]) -> None:
    (relation,) = decoded([row(version(WALLS, 3), version(HOST, 5))], said)
    assert relation.other.is_deleted


def test_an_end_may_be_an_item_or_a_folder() -> None:
    rows = [
        row(WALLS, version(HOST, 5), kinds=("items", "versions")),
        row(version(SHEET, 2), HOST, kinds=("versions", "items")),
        row("urn:folder", version(HOST, 5), "auxiliary", kinds=("folders", "versions")),
    ]
    item, of_item, folder = decoded(rows, [included_item(WALLS, "Walls.dwg", 4)])
    assert (item.other.kind, item.other.name) == ("items", "Walls.dwg")
    assert (of_item.version_id, of_item.other.id) == (version(HOST, 5), version(SHEET, 2))
    assert (folder.other.kind, folder.other.item_id) == ("folders", "")


def test_a_subject_that_is_repeated_without_a_relation() -> None:
    assert decoded([{"type": "versions", "id": version(HOST, 5), "meta": {}}]) == []


@pytest.mark.parametrize(
    "rows",
    [None, {}, [5], [row(version(WALLS, 1), version(SHEET, 1))],
     [{"id": version(WALLS, 1), "meta": {"fromId": version(HOST, 5)}}]],
)  # fmt: skip
def test_a_relation_that_cannot_be_told_is_no_silence(rows: Any) -> None:
    answer = {"data": {"relationships": {"resources": {"data": rows}}}}
    with pytest.raises(BadResponseError, match="cannot ask: the answer holds"):
        decode_refs(answer, {version(HOST, 5): ItemId(HOST)}, "ask")


KEYS = "data id meta fromId toId relationships resources attributes extension type tip".split()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=4), JSON)
def test_answers_of_any_shape(rows: list[Any], included: Any) -> None:
    answer = {"data": {"relationships": {"resources": {"data": rows}}}, "included": included}
    try:
        assert decode_refs(answer, {version(HOST, 5): ItemId(HOST)}, "ask") == []
    except BadResponseError:
        pass


@given(st.integers(1, 10**6))
def test_ids_of_versions(number: int) -> None:
    assert number_of(version(HOST, number)) == number
    assert lineage_of(version(HOST, number)) == HOST


def test_other_ids_tell_nothing() -> None:
    assert (number_of(HOST), lineage_of(HOST), lineage_of("")) == (None, "", "")
    europe = "urn:adsk.wipemea:fs.file:vf.Ab_-1?version=12"
    assert lineage_of(europe) == "urn:adsk.wipemea:dm.lineage:Ab_-1"


def test_the_question() -> None:
    data = question([version(HOST, 5)])["data"]
    assert data["attributes"]["extension"]["type"] == "commands:autodesk.core:ListRefs"
    assert data["relationships"]["resources"]["data"] == [
        {"type": "versions", "id": version(HOST, 5)}
    ]
