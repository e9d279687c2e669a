"""Names of conflict copies, and names that the service refuses."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.errors import BadNameError, NameTooLongError
from dmfs.names import split_extension
from dmfs.write.settle.conflict_names import conflict_name, overtaken_name
from dmfs.write.settle.service_names import case_variant, check_new_name, compare_key

WHEN = datetime(2026, 5, 4, 9, 30, 15)  # noqa: DTZ001


def test_a_conflict_copy_says_whose_and_when() -> None:
    assert (
        conflict_name("Plan.dwg", "Anna Berg", WHEN)
        == "Plan (conflict Anna Berg 2026-05-04 093015).dwg"
    )
    assert overtaken_name("Plan.dwg", 7, "Anna Berg") == "Plan (v7 by Anna Berg).dwg"
    assert overtaken_name("README", 7, "") == "README (v7 by unknown)"


def test_what_is_illegal_in_a_persons_name_goes() -> None:
    assert overtaken_name("a.dwg", 1, 'A/B: "x" <a@b>\n(c)') == "a (v1 by A B x a@b c).dwg"


def test_the_next_free_one() -> None:
    taken = ["PLAN (V1 BY A).dwg", "Plan (v1 by A 2).dwg"]
    assert overtaken_name("Plan.dwg", 1, "A", taken) == "Plan (v1 by A 3).dwg"


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=300)


@given(texts, texts, st.lists(texts, max_size=3))
def test_always_legal_within_255_bytes_with_the_same_extension(
    name: str, who: str, taken: list[str]
) -> None:
    made = conflict_name(name, who, WHEN, taken)
    again = conflict_name(name, who, WHEN, [made])
    assert len(made.encode()) <= 255
    assert split_extension(made)[1] == split_extension(name)[1]
    assert compare_key(made) not in {compare_key(each) for each in taken}
    assert compare_key(again) != compare_key(made)


def test_a_long_name_is_cut_between_characters() -> None:
    made = conflict_name("ü" * 125 + ".dwg", "Anna", WHEN)
    assert len(made.encode()) in (254, 255)
    assert made.endswith("ü (conflict Anna 2026-05-04 093015).dwg")


@pytest.mark.parametrize("bad", [*'<>:"\\|?*/', "\n", "\x00", "\x7f"])
def test_characters_that_the_service_refuses(bad: str) -> None:
    with pytest.raises(BadNameError, match="does not take"):
        check_new_name(f"a{bad}b.dwg")


def test_names_that_are_none() -> None:
    for each in ("", ".", ".."):
        with pytest.raises(BadNameError):
            check_new_name(each)
    with pytest.raises(BadNameError, match="UTF-8"):
        check_new_name("a\udcff.dwg")
    with pytest.raises(NameTooLongError):
        check_new_name("ü" * 128)


@pytest.mark.parametrize(
    "name", ["'a'.dwg", "50 $ ™®¢.pdf", "a`b", "Zürich", " a", "a.", "ü" * 127]
)
def test_the_rest_the_service_decides(name: str) -> None:
    check_new_name(name, ["other.dwg", name])


def test_a_case_variant_is_refused_and_named() -> None:
    with pytest.raises(BadNameError, match=r"Plan\.dwg"):
        check_new_name("PLAN.dwg", ["Plan.dwg"])
    check_new_name("PLAN.dwg", ["Plan.dwg"], folds_case=False)


def test_composed_and_decomposed_letters_are_the_same() -> None:
    assert case_variant("Zu\u0308rich", ["z\u00fcrich"]) == "z\u00fcrich"
    assert case_variant("Zürich", ["Zürich", "Zurich"]) is None
