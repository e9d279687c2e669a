"""What ``find`` decides without a drive."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dmfs.errors import UsageError
from dmfs.jobs.find.criteria import Criteria, SizeTest, criteria_of, size_of
from dmfs.jobs.find.narrowing import NAME, TIME, filters_of, literals
from dmfs.jobs.find.ways import (
    Quota,
    choose,
    folders_below,
    search_cost,
    walk_cost,
)
from dmfs.names import legal_name, with_suffix

LETTERS = st.sampled_from("abkKsSiIxß.~ ,-_1２ıſ/\\[]*?!é")
NAMES = st.text(LETTERS, min_size=1, max_size=12)
PIECES = st.one_of(st.just("*"), st.just("?"), st.just("[a-x]"), st.text(LETTERS, max_size=6))
CALLS = st.integers(0, 5000)
QUOTAS = st.fixed_dictionaries(
    {
        route: st.builds(Quota, st.integers(0, 300), st.integers(1, 300), st.just(60.0))
        for route in ("contents", "search", "folder")
    }
)


def shown_names(name: str, identifier: str = "urn:1") -> list[str]:
    """How the drive may show a file that the service calls so."""
    legal = legal_name(name)
    link = f"{legal}.url"
    return [legal, with_suffix(legal, identifier), link, with_suffix(link, identifier)]


def is_meant(criteria: Criteria, name: str) -> bool:
    """Whether the drive shows a file under a name that is meant, whatever digits the name of one of
    several equal ones ends in."""
    named = criteria.of_names()
    ways = zip(*(shown_names(name, f"urn:{number}") for number in range(4)), strict=True)
    return any(all(map(named, names)) for names in ways)


def passes(query: dict[str, str], name: str) -> bool:
    """As the service filters: a comma is *or*, letters count."""
    return NAME not in query or any(part in name for part in query[NAME].split(","))


@given(NAMES, st.lists(PIECES, min_size=1, max_size=4), st.booleans())
def test_the_search_is_never_asked_to_leave_out_what_is_meant(
    name: str, pieces: list[str], any_case: bool
) -> None:
    """Whatever a glob takes in the drive, the filter takes in the service."""
    glob = "".join(pieces)
    assume(glob and "/" not in glob)
    criteria = Criteria(None if any_case else glob, glob if any_case else None)
    query = filters_of(criteria)
    if is_meant(criteria, name):
        assert passes(query, name), (glob, query)


@given(NAMES, st.data())
def test_a_part_of_a_name_between_stars_is_found(name: str, data: st.DataObject) -> None:
    """The same, for globs that do take the name."""
    shown = data.draw(st.sampled_from(shown_names(name)))
    start = data.draw(st.integers(0, len(shown)))
    stop = data.draw(st.integers(start, len(shown)))
    part = re.sub(r"([*?\[\\])", r"\\\1", shown[start:stop])
    spelt = data.draw(st.sampled_from([part, part.lower(), part.upper(), part.swapcase()]))
    assume("/" not in spelt)
    for criteria in (Criteria(name=f"*{part}*"), Criteria(any_case=f"*{spelt}*")):
        if is_meant(criteria, name):
            assert passes(filters_of(criteria), name), (criteria, filters_of(criteria))


@pytest.mark.parametrize(
    ("glob", "parts"),
    [
        ("*.rvt", [".rvt"]),
        ("plan*2024*.dwg", ["plan", "2024", ".dwg"]),
        ("A-[0-9]x?yy.pdf", ["A-", "yy.pdf"]),
        ("*.url", []),
        ("Bracket*.ur*", ["Bracket"]),
        ("plan ~1a2b3c4d.dwg", ["plan"]),
        ("one,two", ["one", "two"]),
        (r"\*starred", ["*starred"]),
        ("*", []),
        ("[!]a]*", []),
    ],
)
def test_literals(glob: str, parts: list[str]) -> None:
    assert literals(glob) == parts


def test_filters() -> None:
    assert filters_of(Criteria(name="*.rvt")) == {NAME: ".rvt"}
    assert filters_of(Criteria(name="?")) == {}
    spelt = filters_of(Criteria(any_case="*.rvt"))[NAME].split(",")
    assert len(spelt) == 8
    assert {".rvt", ".RVT", ".Rvt"} <= set(spelt)
    assert filters_of(Criteria(newer_ns=10**18)) == {TIME: "2001-09-09T01:46:40"}


@given(CALLS, CALLS, QUOTAS)
def test_the_cheaper_way(folders: int, confirmed: int, quotas: dict[str, Quota]) -> None:
    walk, search = walk_cost(folders), search_cost(confirmed)
    assert choose(walk, None, quotas) == "walk"
    way = choose(walk, search, quotas)
    chosen, other = (walk, search) if way == "walk" else (search, walk)
    assert chosen.least_s(quotas) <= other.least_s(quotas)
    if chosen.least_s(quotas) == other.least_s(quotas):
        assert chosen.total <= other.total
    assert choose(walk_cost(folders), walk_cost(folders), quotas) == "walk"


@given(CALLS, CALLS, QUOTAS)
def test_a_longer_walk_is_never_more_welcome(
    folders: int, more: int, quotas: dict[str, Quota]
) -> None:
    if choose(walk_cost(folders), search_cost(), quotas) == "search":
        assert choose(walk_cost(folders + more), search_cost(), quotas) == "search"


@given(st.integers(0, 10**6))
def test_an_empty_folder_is_listed_and_an_unknown_tree_is_searched(count: int) -> None:
    assert folders_below(0) == 1
    assert folders_below(count) >= folders_below(0)
    assert choose(walk_cost(folders_below(0)), search_cost(), {}) == "walk"
    assert choose(walk_cost(folders_below(None)), search_cost(), {}) == "search"


def test_a_quota_that_is_used_up_costs_time() -> None:
    full = {"search": Quota(300, 300), "contents": Quota(0, 300), "folder": Quota(0, 300)}
    assert choose(walk_cost(200), search_cost(), full) == "walk"
    assert choose(walk_cost(200), search_cost(), {}) == "search"


@pytest.mark.parametrize(
    ("text", "test"),
    [
        ("+10M", SizeTest(1, 10 * 1024**2)),
        ("-4K", SizeTest(-1, 4096)),
        ("10", SizeTest(0, 10)),
        (" +1.5k ", SizeTest(1, 1536)),
    ],
)
def test_sizes(text: str, test: SizeTest) -> None:
    assert size_of(text) == test


@pytest.mark.parametrize(
    "text", ["", "+", "--1", "ten", "10Q", "+-1", "1 2", 7, None, "9" * 400 + "G"]
)
def test_what_is_no_size(text: object) -> None:
    with pytest.raises(UsageError, match="is no size"):
        size_of(text)


def test_globs_are_those_of_find() -> None:
    for glob, takes, leaves in [
        ("*", ".hidden", None),
        ("a?c", "abc", "ac"),
        ("[ab]*", "bx", "cx"),
        ("[!ab]*", "cx", "bx"),
        (r"\*", "*", "x"),
        (r"a\?", "a?", "ab"),
        ("*\n*", "a\nb", "ab"),
    ]:
        named = criteria_of({"name": glob}, 0.0).of_names()
        assert named(takes)
        assert leaves is None or not named(leaves)
    both = criteria_of({"name": "*a*", "iname": "*B*"}, 0.0).of_names()
    assert both("ab")
    assert not both("Ab")
