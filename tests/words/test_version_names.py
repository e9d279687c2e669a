"""Names of versions: what is made is read back, and what is read is made again."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from dmfs.grammar.moments import snapshot_name, snapshot_ns, written_ns
from dmfs.grammar.version_names import Meaning, meanings_of, number_of_cut, version_name
from dmfs.names import NAME_MAX_BYTES, check_name, cut, legal_name, split_extension

NOW_NS = 1_790_000_000 * 10**9
"""2026-09-21"""


def raw(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def fits(name: str, most: int = NAME_MAX_BYTES) -> bool:
    return 0 < len(raw(name)) <= most


PIECES = st.sampled_from(
    ["plan", "a", ".", "..", "@", "@v2", "@v3", "@2024-05-01", "dwg", ".dwg", " ", "～", "é", "v1"]
)  # fmt: skip
ANY_TEXT = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), max_size=90)
RAW_BYTES = st.binary(min_size=1, max_size=90).map(
    lambda each: each.replace(b"/", b"-").replace(b"\0", b"-").decode("utf-8", "surrogateescape")
)
"""As the kernel hands names over, undecodable ones as well."""
LONG = st.tuples(ANY_TEXT, st.integers(230, 270), st.sampled_from(["x", "é", "～", "𝄞"])).map(
    lambda each: cut(each[2] * each[1] + cut(each[0], 30), NAME_MAX_BYTES)
)
NAMES = st.one_of(st.lists(PIECES, min_size=1, max_size=6).map("".join), ANY_TEXT, RAW_BYTES, LONG)
BASES = NAMES.filter(lambda each: fits(each) and each not in (".", ".."))
NUMBERS = st.one_of(st.integers(1, 300), st.integers(1, 999_999_999))


@given(BASES, NUMBERS)
@example("plan.dwg", 3)
@example("no ending", 1)
@example(".hidden", 2)
@example("ends with a dot.", 2)
@example("who@where.txt", 1)
@example("plan@v2.dwg", 7)
@example("a.b@v5", 3)
@example("archive.tar.gz", 12)
@example("\udcff\udcfe.dw\udcff", 3)
@example("e." + "\udcff" * 31, 3)
@example("x" * 251 + ".dwg", 3)
@example("é" * 125 + ".dwg", 100)
def test_a_name_that_is_made_is_read_back(base: str, number: int) -> None:
    name = version_name(base, number)
    check_name(name)
    assert split_extension(name)[1] == split_extension(base)[1] or not split_extension(base)[1]
    if len(raw(base)) + len(f"@v{number}") > NAME_MAX_BYTES:
        assert number_of_cut(name) == number
        assert len(raw(name)) > NAME_MAX_BYTES - 4
    else:
        assert len(raw(name)) == len(raw(base)) + len(f"@v{number}")
        assert Meaning(base, number, None) in meanings_of(name, NOW_NS)


@given(NAMES.filter(fits))
@example("plan@v3.dwg")
@example("plan@v03.dwg")
@example("plan@v1٣.dwg")
@example("plan@V3.dwg")
@example("@v3.dwg")
@example("plan@v3")
@example("plan.@v3")
@example("\udcff@v3.d\udcff")
@example("plan@2024-05-01.d\udcff")
def test_a_name_that_is_read_is_made_again(name: str) -> None:
    for meaning in meanings_of(name, NOW_NS):
        assert meaning.base
        assert (meaning.number is None) != (meaning.until_ns is None)
        if meaning.number is not None:
            assert version_name(meaning.base, meaning.number) == name
        else:
            before, what, after = name.partition("@" + name.rpartition("@")[2].partition(".")[0])
            assert what or meaning.base == before + after


@given(NAMES.filter(fits))
@example("x" * 250 + "@v1.d\udcff")
@example("\udcff" * 255)
def test_any_name_can_be_asked_for(name: str) -> None:
    meanings_of(name, NOW_NS)
    number = number_of_cut(name)
    assert number is None or number > 0


@given(BASES, st.dates())
def test_a_day_in_a_name_is_that_day_of_its_base(base: str, day) -> None:
    stem, extension = split_extension(base)
    name = f"{stem}@{day.isoformat()}{extension}"
    assume(fits(name))
    until_ns = written_ns(day.isoformat())
    found = Meaning(base, None, until_ns) in meanings_of(name, NOW_NS)
    assert found == (until_ns is not None and until_ns <= NOW_NS + 86400 * 10**9)


@pytest.mark.parametrize(
    "name",
    ["plan@v0.dwg", "plan@v007.dwg", "plan@v-1.dwg", "plan@v.dwg", "plan@v1234567890.dwg",
     "plan@v3 .dwg", "plan@ v3.dwg", "plan@v1٣.dwg", "plan@v３.dwg", "plan@V3.dwg", "plan@3.dwg",
     "plan@2024-5-1.dwg", "plan@2024-02-30.dwg", "plan@2023-02-29.dwg", "plan@2024-13-01.dwg",
     "plan@٢٠٢٤-05-01.dwg", "plan@9999-12-31.dwg", "plan@2099-01-01.dwg", "plan@.dwg", "@v3.dwg",
     "@v3", "@", "plan.dwg", "plan@v3\n.dwg", "plan@2024-05-01\n.dwg", "plan@7d.dwg",
     "plan@2024-05-01T25:00Z.dwg", "plan@2024-05-01T09:30+25:00.dwg", "plan@GMT-2024.05.01.dwg"],
)  # fmt: skip
def test_what_means_no_version(name: str) -> None:
    assert meanings_of(name, NOW_NS) == []


@pytest.mark.parametrize("name", ["plan@v3.dwg", "plan@v2@v3.dwg", "plan.@v3", "a@v3.b@v5"])
def test_the_last_at_counts(name: str) -> None:
    assert [each.number for each in meanings_of(name, NOW_NS)] == [3]


def test_where_a_name_has_two_meanings_the_one_with_an_ending_goes_first() -> None:
    # of a file `plan.v1@v2`, version 3, or of a file `plan@v3.v1`, version 2
    assert meanings_of("plan@v3.v1@v2", NOW_NS) == [
        Meaning("plan.v1@v2", 3, None),
    ]
    assert version_name("plan@v3.v1", 2) == "plan@v3@v2.v1"


@given(st.lists(BASES, min_size=2, max_size=2, unique=True), NUMBERS)
def test_names_of_two_files_differ_unless_they_were_cut(bases: list[str], number: int) -> None:
    names = [version_name(base, number) for base in bases]
    if names[0] == names[1]:
        assert number_of_cut(names[0]) == number


@given(BASES, NUMBERS, NUMBERS)
def test_names_of_two_versions_differ(base: str, one: int, other: int) -> None:
    assert (version_name(base, one) == version_name(base, other)) == (one == other)


@given(st.text(max_size=20), NUMBERS)
def test_the_name_of_an_entry_has_versions_whatever_the_service_calls_it(
    name: str, number: int
) -> None:
    base = legal_name(name)
    assume(fits(base))
    assert Meaning(base, number, None) in meanings_of(version_name(base, number), NOW_NS)


@given(st.integers(0, NOW_NS // 10**9))
def test_a_snapshots_name_is_read_back(at_s: int) -> None:
    name = snapshot_name(at_s * 10**9)
    assert re.fullmatch(r"@GMT-\d{4}\.\d\d\.\d\d-\d\d\.\d\d\.\d\d", name)
    assert snapshot_ns(name, NOW_NS) == at_s * 10**9
