"""Listings read as they lie on disk agree with listings that are decoded."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.model import Child, File, Folder, FolderId, Hub, HubId, Project, ProjectId, Root, Shortcut
from dmfs.namespace.listing_codec import Record, encode
from dmfs.namespace.listing_store import ListingStore
from dmfs.namespace.stored.database import StoredListings
from dmfs.namespace.stored.rows import details_of, head_of, identity_of, names_of, rows_of
from dmfs.system.clock import Moment
from tests.support.helpers import real

HUB, PROJECT = HubId("b.h"), ProjectId("b.p")
HARD = st.text(st.sampled_from('fds", []{}\\:\n\u00e9\U0001f600x'), max_size=8)
TOP = Folder(FolderId("top"), PROJECT, HUB, "top", rollup_ns=5)


def files() -> st.SearchStrategy[File]:
    return st.builds(
        File, HARD, HARD, HARD, st.just("top"), st.just(PROJECT), st.just(HUB), HARD,
        st.none() | st.integers(0, 2**50), st.integers(0, 2**60), created_by=HARD,
        extension_type=HARD, reserved_by=HARD,
    )  # fmt: skip


def folders() -> st.SearchStrategy[Folder]:
    return st.builds(
        Folder, HARD, st.just(PROJECT), st.just(HUB), HARD, st.integers(0, 2**60),
        rollup_ns=st.none() | st.integers(0, 2**60), created_by=HARD, extension_type=HARD,
    )  # fmt: skip


def shortcuts() -> st.SearchStrategy[Shortcut]:
    return st.builds(
        Shortcut, HARD, st.none() | HARD, st.just("top"), st.just(PROJECT), st.just(HUB), HARD,
        st.binary(max_size=9), created_by=HARD, extension_type=HARD, web_url=HARD,
    )  # fmt: skip


def record(entries: dict[str, Child], directory: Folder | Root | Hub = TOP) -> Record:
    return Record(
        moment=Moment.now(), directory=directory, parent="", rollup_ns=7, entries=entries, lost=1
    )


@given(st.dictionaries(HARD, files() | folders() | shortcuts(), max_size=6), HARD, st.data())
def test_rows_that_begin_so_are_all_of_them_and_no_others(
    entries: dict[str, Child], begin: str, data: st.DataObject
) -> None:
    if entries:
        name = data.draw(st.sampled_from(sorted(entries)))
        begin = data.draw(st.sampled_from([begin, *(name[:end] for end in range(len(name) + 1))]))
    text = encode(record(entries)).decode("ascii")
    expected = [row for row in rows_of(text) if row.name.startswith(begin)]
    assert list(rows_of(text, begin)) == expected
    assert names_of(text, begin) == [(row.name, row.letter) for row in expected]


@given(st.dictionaries(HARD, files() | folders() | shortcuts(), max_size=4))
def test_rows_are_what_was_written(entries: dict[str, Child]) -> None:
    text = encode(record(entries)).decode("ascii")
    head = head_of(text, TOP.identity)
    assert head is not None
    assert (head.rows, head.rollup_ns, head.incomplete) == (len(entries), 7, True)
    assert head.moment.age_s() is not None
    assert head_of(text, "folder b.p other") is None
    rows = list(rows_of(text))
    assert [row.name for row in rows] == list(entries)
    for row, child in zip(rows, entries.values(), strict=True):
        details = details_of(text, row)
        if isinstance(child, Folder):
            assert row.letter == "d"
            assert identity_of(row, details, head) == child.identity
            assert details["rollup_ns"] == child.rollup_ns
        else:
            assert row.letter == ("f" if isinstance(child, File) else "s")
        assert details["mtime_ns"] == child.mtime_ns  # type: ignore[union-attr]


def test_hubs_and_projects_have_their_identities() -> None:
    hub, project = Hub(HUB, 'A "hub"'), Project(PROJECT, HUB, "P")
    for directory, child in ((Root(), hub), (hub, project)):
        text = encode(record({child.name: child}, directory)).decode("ascii")
        head = head_of(text, directory.identity)
        assert head is not None
        (row,) = rows_of(text)
        assert identity_of(row, details_of(text, row), head) == child.identity


@pytest.mark.parametrize(
    "text", ["", "\n", "{}", "[]\n[]", '{"version": 2}\n', "null\nnull", '{"version": 9' * 2000]
)
def test_what_is_no_listing_has_no_head(text: str) -> None:
    assert head_of(text, "root") is None
    assert list(rows_of(text)) == []


@real
async def test_stored_listings_are_read_without_diskcache(tmp_path: Path) -> None:
    """In the table and in files of their own; another sign-in's are not seen."""
    many: dict[str, Child] = {
        f"{number:05d}.dwg": File("i", "v", "s", "top", PROJECT, HUB, "n", 1)  # type: ignore[arg-type]
        for number in range(2000)
    }
    store = ListingStore(tmp_path, "mine")
    small = Folder(FolderId("small"), PROJECT, HUB, "small")
    await store.save(record(many))
    await store.save(record({}, small))
    stored = StoredListings(tmp_path, "mine")
    with stored.open():
        texts = dict(stored.texts([TOP.identity, small.identity, "folder b.p nowhere"]))
        assert set(texts) == {TOP.identity, small.identity}
        assert [row.name for row in rows_of(texts[TOP.identity])] == list(many)
    other = StoredListings(tmp_path, "other")
    with other.open():
        assert list(other.texts([TOP.identity])) == []
    # what is pinned is kept beside the others
    await store.keep([small.identity])
    await store.forget(TOP.identity)
    with stored.open():
        assert [identity for identity, _ in stored.texts([TOP.identity, small.identity])] == [
            small.identity
        ]
    store.close()


def test_damaged_tables_hold_nothing(tmp_path: Path) -> None:
    place = tmp_path / "listings" / "v2"
    place.mkdir(parents=True)
    (place / "cache.db").write_bytes(b"no database" * 1000)
    stored = StoredListings(tmp_path, "mine")
    with stored.open():
        assert list(stored.texts(["root"])) == []
