"""What versions refer to, and what refers to them: the command ListRefs.

A row of the answer is one relation. Its id is that of either end and its ``direction`` is told from
one end or the other (the documented example has it the other way round than the text beside it), so
only ``fromId`` and ``toId`` count: data flows from what is referred to, to what refers to it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from dmfs.aps.contents import is_tombstone
from dmfs.aps.json_values import Json, dig, number, text
from dmfs.aps.sending import DATA_TYPE
from dmfs.aps.signed_in import SignedIn, path_id
from dmfs.errors import BadResponseError
from dmfs.http.json_client import Call
from dmfs.model import FolderId, ItemId, ProjectId, VersionId

VERSIONS_A_CALL = 50
NO_FOLDER, NO_VERSION = FolderId(""), VersionId("")
_NUMBER = re.compile(r"\?version=(\d{1,9})$")
_VERSION = re.compile(r"(urn:adsk\.[^:]+:)fs\.file:vf\.([^?]+)\?version=\d+")


@dataclass(frozen=True, slots=True)
class Other:
    """What is at the other end of a relation, as far as the answer describes it."""

    id: str
    kind: str
    """versions, items or folders."""
    item_id: ItemId
    """'' for a folder."""
    name: str = ""
    folder_id: FolderId = NO_FOLDER
    version_number: int | None = None
    tip_id: VersionId = NO_VERSION
    extension_type: str = ""
    is_deleted: bool = False
    is_described: bool = False
    """Whether the answer says more of it than its id, as it does of what the user may see."""


@dataclass(frozen=True, slots=True)
class Relation:
    """One relation of a version that was asked about."""

    version_id: VersionId
    uses: bool
    """It refers to the other; else the other refers to it."""
    kind: str
    """xrefs, derived, dependencies, auxiliary or includes."""
    nesting: str
    """overlay or attachment, of an xref that says so."""
    other: Other


class Refs:
    """Made of the service in a user's name."""

    def __init__(self, service: SignedIn) -> None:
        self._service = service

    async def relations(
        self, project_id: ProjectId, subjects: Mapping[VersionId, ItemId]
    ) -> list[Relation]:
        """All relations of up to ``VERSIONS_A_CALL`` versions, of which the items are given. One
        call. BadResponseError for a row that cannot be told."""
        action = "ask what refers to what"
        path = f"/data/v1/projects/{path_id(project_id)}/commands"
        call = Call(
            action, "commands", "POST", path, json=question([*subjects]), content_type=DATA_TYPE
        )
        return await self._service.request(
            call, lambda answer: decode_refs(answer, subjects, action)
        )


def question(version_ids: Sequence[VersionId]) -> Json:
    """What is posted."""
    return {
        "jsonapi": {"version": "1.0"},
        "data": {
            "type": "commands",
            "attributes": {
                "extension": {"type": "commands:autodesk.core:ListRefs", "version": "1.0.0"}
            },
            "relationships": {
                "resources": {"data": [{"type": "versions", "id": each} for each in version_ids]}
            },
        },
    }


def decode_refs(answer: Json, subjects: Mapping[VersionId, ItemId], action: str) -> list[Relation]:
    """The relations of an answer, each once, in its order."""
    rows = dig(answer, "data", "relationships", "resources", "data")
    if not isinstance(rows, list):
        raise BadResponseError(f"cannot {action}: the answer holds no list of relations")
    included = answer.get("included") or dig(answer, "data", "included")
    known = _Included(included if isinstance(included, list) else [])
    # an end may be the item: all of its versions
    ours: dict[str, VersionId] = {item: version for version, item in subjects.items() if item}
    ours |= {version: version for version in subjects}
    found: dict[Relation, None] = {}
    for row in rows:
        meta = dig(row, "meta")
        ends = text(meta, "fromId"), text(meta, "toId")
        if not any(ends) and text(row, "id") in ours:
            continue  # what was asked, repeated
        if not all(ends) or not any(end in ours for end in ends):
            raise BadResponseError(f"cannot {action}: the answer holds a relation of nothing asked")
        for mine, other, uses in ((ends[1], ends[0], True), (ends[0], ends[1], False)):
            if mine in ours:
                kind = text(meta, "fromType" if uses else "toType")
                relation = Relation(
                    ours[mine], uses, text(meta, "refType"),
                    text(meta, "extension", "data", "nestedType").lower(),
                    known.other(other, kind),
                )  # fmt: skip
                found[relation] = None
    return [*found]


class _Included:
    """What an answer says of the resources that it names."""

    def __init__(self, rows: Iterable[Json]) -> None:
        self._by_id = {text(row, "id"): row for row in rows if text(row, "id")}

    def other(self, id_: str, kind: str) -> Other:
        version = self._by_id.get(id_) if kind != "items" else None
        item_id = id_ if kind == "items" else text(version, "relationships", "item", "data", "id")
        item_id = item_id or lineage_of(id_)
        item = self._by_id.get(item_id)
        tip_id = text(item, "relationships", "tip", "data", "id")
        if kind == "items":
            version = self._by_id.get(tip_id)
        tip = self._by_id.get(tip_id)
        described = version or item
        types = [text(each, "attributes", "extension", "type") for each in (version, item)]
        hidden = dig(item, "attributes", "hidden") is True or dig(tip, "attributes", "hidden")
        return Other(
            id=id_,
            kind=kind or ("versions" if number_of(id_) else "items"),
            item_id=ItemId(item_id),
            name=_name(item) or _name(version),
            folder_id=FolderId(text(item, "relationships", "parent", "data", "id")),
            version_number=number(version, "attributes", "versionNumber") or number_of(id_),
            tip_id=VersionId(tip_id),
            extension_type=types[0] or types[1],
            is_deleted=hidden is True or any(map(is_tombstone, (version, item, tip))),
            is_described=described is not None,
        )


def _name(row: Json | None) -> str:
    return text(row, "attributes", "displayName") or text(row, "attributes", "name")


def number_of(version_id: str) -> int | None:
    """The number at the end of a version's id."""
    match = _NUMBER.search(version_id)
    return int(match[1]) if match else None


def lineage_of(version_id: str) -> str:
    """The item's id that a version's usually repeats; '' for other ids. (That it does is not
    promised: it is worth a question, and no answer.)"""
    match = _VERSION.fullmatch(version_id)
    return f"{match[1]}dm.lineage:{match[2]}" if match else ""
