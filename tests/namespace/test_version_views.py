"""Versions as entries: what a history holds, and what an item was at a moment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from dmfs.grammar.version_names import Meaning, meanings_of
from dmfs.model import (
    Child,
    DeletedItem,
    File,
    History,
    Leaf,
    Listing,
    Root,
    Shortcut,
    StorageId,
    WrittenFile,
)
from dmfs.model.nodes import values_of
from dmfs.namespace.views.versions import (
    histories,
    history_of,
    newest,
    numbered,
    version_entries,
    with_bytes,
)
from tests.support.helpers import a_file

TIP = replace(a_file("plan.dwg"), version="vf.tip?version=9", version_number=9)


def bytes_of(number: int, mtime_ns: int) -> File:
    return replace(
        TIP, version=f"vf.tip?version={number}", version_number=number, mtime_ns=mtime_ns,
        storage_id=StorageId(f"urn:{number}"),
    )  # fmt: skip


def without_bytes(number: int, mtime_ns: int) -> Shortcut:
    return Shortcut(
        TIP.item_id, None, TIP.folder_id, TIP.project_id, TIP.hub_id, "plan.url", b"",
        mtime_ns=mtime_ns, version_number=number,
    )  # fmt: skip


def tombstone(number: int, mtime_ns: int) -> DeletedItem:
    values = values_of(bytes_of(number, mtime_ns)) | {"storage_id": StorageId("")}
    return DeletedItem(**values)


@st.composite
def pasts(draw: st.DrawFn) -> list[Leaf]:
    """Versions 1 … n in any order; their times do not fall."""
    count = draw(st.integers(1, 12))
    times = sorted(draw(st.lists(st.integers(0, 50), min_size=count, max_size=count)))
    kinds: st.SearchStrategy[Callable[[int, int], Leaf]] = st.sampled_from(
        [bytes_of, bytes_of, without_bytes, tombstone]
    )
    made: list[Leaf] = []
    for number, at_ns in enumerate(times):
        made.append(draw(kinds)(number + 1, at_ns))
    return draw(st.permutations(made))


def listing(**entries: Child) -> Listing:
    return Listing(Root(), {name.replace("_", "."): child for name, child in entries.items()}, 0.0)


@given(pasts())
def test_a_history_holds_what_has_bytes_up_to_the_tip(past: Sequence[Leaf]) -> None:
    found = version_entries(History(TIP, "plan.dwg"), past)
    real = {each.version_number for each in past if type(each) is File}
    until_tip = {number for number in real if number is not None and number <= 9}
    assert {each.version_number for each in found.values()} == until_tip
    assert list(found) == sorted(found)
    for name, each in found.items():
        assert meanings_of(name, 0) == [Meaning("plan.dwg", each.version_number, None)]
        assert numbered(past, each.version_number or 0) is each
    numbers = [each.version_number or 0 for each in with_bytes(past)]
    assert numbers == sorted(numbers)
    assert set(numbers) == real


@given(pasts(), st.integers(0, 14))
def test_a_number_that_never_was_is_none(past: Sequence[Leaf], number: int) -> None:
    found = numbered(past, number)
    assert (found is not None) == (number in {e.version_number for e in past if type(e) is File})


@given(pasts(), st.integers(-1, 52))
def test_what_an_item_was_at_a_moment(past: Sequence[Leaf], at_ns: int) -> None:
    expected: Leaf | None = None
    for each in sorted(past, key=lambda leaf: leaf.version_number or 0):
        if each.mtime_ns <= at_ns:
            expected = None if isinstance(each, DeletedItem) else each
    assert newest(past, at_ns) is expected


def test_a_number_decides_where_clocks_differ() -> None:
    first, second = bytes_of(1, 1_000_000_900), bytes_of(2, 1_000_000_000)
    assert newest([first, second], 2_000_000_000) is second


def test_which_entries_have_a_history() -> None:
    one = replace(TIP, version="v?version=1", version_number=1)
    unreadable = replace(TIP, version="", version_number=None)
    assert history_of("plan.dwg", TIP) == History(TIP, "plan.dwg")
    for child in (one, unreadable, tombstone(9, 0), without_bytes(9, 0), None):
        assert history_of("plan.dwg", child) is None
    found = histories(listing(plan_dwg=TIP, one_dwg=one, sheet_url=without_bytes(4, 0)))
    assert found == {"plan.dwg": History(TIP, "plan.dwg")}


def test_what_was_written_here_has_the_history_of_what_the_service_has() -> None:
    values = values_of(replace(TIP, version="", version_number=None, mtime_ns=77))
    new = WrittenFile(**values, key="new 1", draft_id="d1")
    edited = WrittenFile(**values, key="version 9", draft_id="d2", base=TIP)
    saved = WrittenFile(**values_of(TIP), key="new 1")
    assert history_of("plan.dwg", new) is None
    for child in (edited, saved):
        found = history_of("plan.dwg", child)
        assert found is not None
        assert type(found.tip) is File
        assert found.identity == History(TIP, "plan.dwg").identity
        assert found.tip.mtime_ns == child.mtime_ns  # its directory is as old as the file


def test_a_history_is_of_the_listed_name_and_of_one_tip() -> None:
    newer = replace(TIP, version="vf.tip?version=10", version_number=10)
    assert History(TIP, "a").identity == History(TIP, "b").identity
    assert History(TIP, "a").identity != History(newer, "a").identity
