"""Generations, and places in a directory that stay where they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import dmfs.fuse.export.numbering
from dmfs.fuse.export.numbering import DOTS, Cookies, generation_of, item_hash, named_by
from dmfs.model import Folder, FolderId, HubId, Listing, ProjectId
from dmfs.names import inode_number
from tests.support.helpers import a_file

FOLDER = Folder(FolderId("f"), ProjectId("b.p"), HubId("b.h"), "Plans")
NAMES = st.lists(st.text(min_size=1, max_size=6), max_size=30, unique=True)


def listing_of(names: list[str]) -> Listing:
    return Listing(FOLDER, {name: a_file(name) for name in names}, 0.0)


def read(cookies: Cookies, pieces: int) -> list[str]:
    found, at = [], DOTS
    while piece := [each for each, _ in zip(cookies.after(at), range(pieces), strict=False)]:
        found += [name for _, name in piece]
        at = piece[-1][0]
    return found


@given(NAMES, st.integers(1, 7))
def test_each_entry_is_read_once_in_pieces_of_any_size(names: list[str], pieces: int) -> None:
    assert sorted(read(Cookies(listing_of(names)), pieces)) == sorted(names)


@given(NAMES, NAMES, st.integers(0, 30))
def test_a_directory_read_in_pieces_has_each_entry_once(
    before: list[str], after: list[str], at: int
) -> None:
    first = list(Cookies(listing_of(before)).after(DOTS))[:at]
    place = first[-1][0] if first else DOTS
    seen = [name for _, name in first]
    seen += [name for _, name in Cookies(listing_of(after)).after(place)]
    for name in set(before) & set(after):
        assert seen.count(name) == 1


def test_names_of_one_hash_have_places_of_their_own() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dmfs.fuse.export.numbering, "_cookie", lambda name: 77)
        cookies = Cookies(listing_of(["a", "b", "c"]))
        assert list(cookies.after(DOTS)) == [(77, "a"), (78, "b"), (79, "c")]
        assert read(cookies, 1) == ["a", "b", "c"]


@given(st.text(), st.text())
def test_a_generation_follows_from_the_identity(one: str, other: str) -> None:
    assert 0 < generation_of(one) < 2**32
    assert generation_of(one) == generation_of(one)
    assert generation_of(one) != inode_number(one) & 0xFFFFFFFF
    if one != other:
        assert (generation_of(one), inode_number(one)) != (
            generation_of(other),
            inode_number(other),
        )


def test_a_file_is_found_under_another_name_and_in_another_version() -> None:
    plan, other = a_file("plan"), a_file("other")
    listing = Listing(FOLDER, {"renamed": plan, "other": other}, 0.0)
    number = inode_number(plan.identity)
    assert named_by(listing, number, 0) == ("renamed", plan)
    assert named_by(listing, 4711, item_hash(plan)) == ("renamed", plan)
    assert named_by(listing, 4711, 0) is None
    assert named_by(listing, 4711, 4712) is None
