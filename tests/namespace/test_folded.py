"""Names of another case, and the drive's own small files: pure."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dmfs.model import Child, Listing, Root
from dmfs.namespace.views.folded import NAMES_MAX, FoldedNames, Folds, fold
from dmfs.namespace.views.markers import MARKERS, marker
from tests.support.helpers import a_file

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
CASED = st.text("aAbBäÄßſıIiKk1.", min_size=1, max_size=4)


@given(NAMES | CASED)
def test_folding_twice_is_folding_once_and_keeps_every_letter(name: str) -> None:
    assert fold(fold(name)) == fold(name)
    assert len(fold(name)) == len(name)


@given(st.text("abcxyzäöüéñжд.-_ 1", max_size=12))
def test_capitals_and_small_letters_are_one(name: str) -> None:
    assert fold(name.upper()) == fold(name) == fold(name.lower())


@given(st.sets(CASED, max_size=12), CASED)
def test_a_name_means_an_entry_only_where_one_alone_is_meant(names: set[str], asked: str) -> None:
    folded = FoldedNames(names)
    same = [name for name in names if fold(name) == fold(asked)]
    assert folded.listed(asked) == (same[0] if len(same) == 1 else None)
    assert folded.differ == (len({fold(name) for name in names}) == len(names))


def test_what_windows_takes_for_two_names_is_two() -> None:
    assert fold("Straße") != fold("STRASSE")
    assert fold("e\u0301") != fold("\u00e9"), "Unicode forms are not folded"


def test_folded_names_are_of_one_listing_and_within_bounds() -> None:
    entries: dict[str, Child] = {"Plan.dwg": a_file("Plan.dwg")}
    listing = Listing(Root(), entries, 0.0)
    folds = Folds()
    assert folds.peek(listing) is None
    folds.put(listing, FoldedNames(listing.names))
    found = folds.peek(listing)
    assert found is not None
    assert found.listed("PLAN.DWG") == "Plan.dwg"
    assert folds.peek(Listing(Root(), dict(entries), 1.0)) is None, "a newer one is another one"
    huge = Listing(Root(), dict.fromkeys(map(str, range(NAMES_MAX)), entries["Plan.dwg"]), 0.0)
    folds.put(huge, FoldedNames(()))
    assert folds.peek(huge) is None
    assert folds.peek(listing) is found


def test_a_marker_says_what_the_standard_wants() -> None:
    tag = marker("root", "CACHEDIR.TAG")
    assert tag.body.startswith(b"Signature: 8a477f597d28d172789f06886806bc55")
    assert tag.size_bytes == len(tag.body)
    assert len({marker("root", name).identity for name in MARKERS}) == len(MARKERS)
    assert marker("root", ".nomedia").identity != marker("hub b.1", ".nomedia").identity
