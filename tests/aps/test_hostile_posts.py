"""Answers to changes, of any shape: decoded, or refused in words. Never another exception, never a
part of it believed that is not what it should be."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dmfs.aps.change.answers import (
    check_folder_change,
    check_tombstone,
    decode_completion,
    decode_details,
    decode_new_item,
    decode_new_version,
    decode_part_urls,
    decode_permissions,
    decode_storage,
    decode_tip,
)
from dmfs.aps.contents import decode_folder
from dmfs.aps.signed_urls import is_storage_id
from dmfs.errors import DriveError
from dmfs.http.errormap import from_refusal
from dmfs.model import HubId, Project
from tests.aps.posting import FOLDER, ITEM, STORAGE, B, item_answer, version_row

PROJECT = Project(B, HubId("b.h"), "p")
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
    | st.sampled_from(["versions", "items", "folders", ITEM, STORAGE, "error", "\ud800", "\n"])
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)
GOOD: list[dict[str, Any]] = [
    {"data": {"type": "objects", "id": STORAGE}},
    {"uploadKey": "k", "urls": ["u"], "uploadExpiration": "2026-01-02T00:00:00Z"},
    {"size": 9, "status": "error", "reason": "r", "parts": [{"part": 1, "status": "Pending"}]},
    {"size": 9, "sha1": "a" * 40},
    item_answer(),
    {"data": version_row()},
    {"data": {"type": "folders", "id": FOLDER, "attributes": {"name": "n", "hidden": False}}},
    {"data": {"attributes": {"extension": {"data": {"permissions": [
        {"id": "a", "permission": True, "details": {"view": True}}]}}}}},
    {"errors": [{"title": "RESERVATION_LINEAGE_RESERVED", "meta": {"reservedUserName": "B"}}]},
]  # fmt: skip


def paths(value: Any, here: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [here]
    if isinstance(value, dict):
        for key in value:
            found += paths(value[key], (*here, key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            found += paths(each, (*here, number))
    return found


def replaced(answer: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    answer = copy.deepcopy(answer)
    inner = answer
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return answer


@st.composite
def damaged(draw: st.DrawFn) -> dict[str, Any]:
    """A good answer with one or two of its values replaced."""
    answer: Any = draw(st.sampled_from(GOOD))
    for _ in range(draw(st.integers(1, 2))):
        answer = replaced(answer, draw(st.sampled_from(paths(answer))), draw(VALUES))
    return answer if isinstance(answer, dict) else {"data": answer}


def attempt(decode: Callable[[], Any]) -> Any:
    try:
        return decode()
    except DriveError as error:
        said = error.message
    assert said.isprintable()
    return None


@given(damaged())
def test_any_answer_is_decoded_or_refused_in_words(answer: dict[str, Any]) -> None:
    storage = attempt(lambda: decode_storage(answer, "x"))
    assert storage is None or is_storage_id(storage)
    urls = attempt(lambda: decode_part_urls(answer, "x", 1, 5.0, 7.0))
    assert urls is None or (len(urls.urls) == 1 and urls.upload_key.isprintable())
    assert attempt(lambda: decode_completion(answer, "x", 9)) in (None, 9)
    details = attempt(lambda: decode_details(answer, "x"))
    assert details is None or (details.size_bytes >= 0 and len(details.sha1) in (0, 40))
    tip = attempt(lambda: decode_tip(answer, "x", PROJECT))
    assert tip is None or tip.file is None or tip.file.version_id
    for posted in (
        attempt(lambda: decode_new_item(answer, "x", PROJECT)),
        attempt(lambda: decode_new_version(answer, "x", PROJECT, ITEM)),
    ):
        if posted is not None:
            assert is_storage_id(posted.file.storage_id)
            assert posted.file.version_number is not None
            assert posted.file.version_id
    folder = attempt(lambda: decode_folder(answer, "x", PROJECT))
    assert folder is None or (folder.id and folder.name)
    attempt(lambda: check_tombstone(answer, "x"))
    attempt(lambda: check_folder_change(answer, "x", hidden=True))
    for granted in decode_permissions(answer, ["view"]).values():
        assert granted <= {"view"}


@given(damaged(), st.integers(100, 599))
def test_any_refusal_makes_a_line(answer: dict[str, Any], status: int) -> None:
    error = from_refusal("x", status, json.dumps(answer).encode())
    assert (error.message + error.hint).isprintable()
    assert len(error.message) < 300
