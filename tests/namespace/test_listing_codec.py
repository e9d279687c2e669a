"""Listings as text: a record comes back as it was, damage is a BadRecordError."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.model import Child, Directory, File, Folder, Hub, HubId, Project, ProjectId, Root
from dmfs.namespace.listing_codec import (
    BadRecordError,
    decode,
    decode_node,
    encode,
    encode_node,
)
from dmfs.system.clock import Moment
from tests.support.listings import PLACE, a_record


def test_a_listing_comes_back_as_it_was() -> None:
    for directory in (PLACE, Root(), Project(ProjectId("p"), HubId("h"), "P")):
        record = a_record(directory=directory)
        again = decode(encode(record))
        assert again == record
        assert list(again.entries) == list(record.entries)


@given(st.data())
def test_a_damaged_record_is_a_bad_record(data) -> None:
    raw = encode(a_record(moment=Moment((1.0, "boot", 2.0))))
    at = data.draw(st.integers(0, len(raw) - 1))
    damaged = data.draw(
        st.sampled_from([raw[:at], raw[:at] + raw[at + 1 :], raw[:at] + b"null" + raw[at:]])
    )
    try:
        found = decode(damaged)
    except BadRecordError:
        return
    for name, child in found.entries.items():  # damage inside a text cannot be told
        assert isinstance(name, str)
        assert isinstance(child.name, str)


HUB = Hub(HubId("b.h"), "Hub", "hubs:x")


ROOT_BEFORE = (
    b'{"version": 2, "moment": [1.0, "boot", 2.0], "directory": ["r"], "parent": "",'
    b' "rollup_ns": null, "warnings": ["careful"], "shared": ["", "", ""], "rows": 1}\n'
    b'[["Hub", "h", "b.h", "Hub", "hubs:x", "US"]]'
)
HUB_BEFORE = (
    b'{"version": 2, "moment": [1.0, "boot", 2.0], "directory":'
    b' ["h", "b.h", "Hub", "hubs:x", "US"], "parent": "root", "rollup_ns": null,'
    b' "warnings": [], "shared": ["", "", ""], "rows": 1}\n'
    b'[["P", "p", "b.p", "b.h", "P", null, "", ""]]'
)


@pytest.mark.parametrize(
    ("raw", "directory", "entries"),
    [
        (ROOT_BEFORE, Root(), {"Hub": HUB}),
        (HUB_BEFORE, HUB, {"P": Project(ProjectId("b.p"), HUB.id, "P")}),
    ],
    ids=["root", "hub"],
)
def test_records_of_earlier_releases_are_still_read(
    raw: bytes, directory: Directory, entries: dict[str, Child]
) -> None:
    """They have warnings, and a hub's region; a drive still starts warm after an update."""
    record = decode(raw)
    assert record.directory == directory
    assert record.entries == entries
    assert decode(encode(record)) == record


def test_a_hub_of_another_shape_is_a_bad_record() -> None:
    raw = encode(a_record(directory=Root(), entries={"Hub": HUB}))
    for more in (b', "US", "EU"]]', b", 5, 6]]"):
        with pytest.raises(BadRecordError):
            decode(raw.replace(b"]]", more))


def test_a_locked_file_and_a_folder_without_files_come_back_and_cost_others_nothing() -> None:
    record = a_record()
    plain = next(each for each in record.entries.values() if isinstance(each, File))
    folder = next(each for each in record.entries.values() if isinstance(each, Folder))
    locked, sheets = replace(plain, reserved_by="BOB Bob"), replace(folder, no_files=True)
    entries: dict[str, Child] = {"plain": plain, "locked": locked}
    entries |= {"folder": folder, "sheets": sheets}
    again = decode(encode(replace(record, entries=entries)))
    assert again.entries == entries
    # a release that does not know of locks reads what is not locked
    assert [*json.loads(encode_node(plain)), "BOB Bob"] == json.loads(encode_node(locked))
    assert [*json.loads(encode_node(folder)), True] == json.loads(encode_node(sheets))
    assert decode_node(encode_node(locked)) == locked
