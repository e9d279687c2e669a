"""Names and numbers, against an oracle written from the contract's words alone."""

from __future__ import annotations

import errno
import hashlib
import random
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dmfs.errors import NameTooLongError
from dmfs.model import Child, File, Folder, FolderId, Hub, HubId, ItemId, Project, ProjectId
from dmfs.names import check_name, entry_names, id_hash, inode_number, legal_name
from tests.support.helpers import a_file


def member(name: str, identifier: str, created: int | None = 0, kind: str = "file") -> Child:
    if kind == "folder":
        return Folder(
            FolderId(identifier), ProjectId("b.p"), HubId("b.h"), name, created_ns=created
        )
    return a_file(name, item_id=ItemId(identifier), created_ns=created)


# The oracle


def hash8(identifier: str) -> str:
    return hashlib.sha256(identifier.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def with_hash(name: str, identifier: str) -> str:
    """The rules of the contract: before the extension, cut at a character, 255 bytes."""
    stem, extension = name, ""
    dot = name.rfind(".")
    if 0 < dot < len(name) - 1 and len(name[dot + 1 :].encode()) <= 32:
        stem, extension = name[:dot], name[dot:]
    tail = f" ~{hash8(identifier)}{extension}"
    while len((stem + tail).encode()) > 255:
        stem = stem[:-1]
    return stem + tail


def plain(name: str, identifier: str) -> str:
    name = "".join("�" if "\ud800" <= char <= "\udfff" else char for char in name)
    name = name.replace("/", "／").replace("\0", "␀")
    name = {".": "．", "..": "．．", "": "(unnamed)"}.get(name, name)
    return with_hash(name, identifier) if len(name.encode()) > 255 else name


def oracle(members: list[Child]) -> dict[str, str]:
    """Name → id, for members whose suffixed names hit nobody's real name."""
    by_name: dict[str, list[tuple[bool, float, str]]] = {}
    for each in members:
        identifier = each.item_id if isinstance(each, File) else each.id  # type: ignore[union-attr]
        made = getattr(each, "created_ns", None)
        age = float("inf") if made is None else made
        name = plain(each.name, identifier)
        by_name.setdefault(name, []).append((name != each.name, age, identifier))
    names = {}
    for name, claimants in by_name.items():
        first, *others = sorted(claimants)
        names[name] = first[2]
        for _, _, identifier in others:
            names[with_hash(name, identifier)] = identifier
    return names


def ids(named: dict[str, Child]) -> dict[str, str]:
    return {
        name: child.item_id if isinstance(child, File) else child.id  # type: ignore[union-attr]
        for name, child in named.items()
    }


NAMES = st.sampled_from(
    ["a.txt", "A.txt", "a", ".", "..", "", "x/y", "x／y", "nul\0", "nul␀", "．", "(unnamed)",
     ".bashrc", "b.tar.gz", "e.",
     "n" * 255, "n" * 256 + ".dwg", "Ü建" * 80 + ".ifc", "x." + "y" * 40, "é", "e\u0301",
     "\ud800", "n" * 250 + ".rvt", "建" * 85, "建" * 86]
) | st.text(st.characters(exclude_categories=()), max_size=8)  # fmt: skip
MEMBERS = st.lists(
    st.tuples(NAMES, st.none() | st.integers(0, 3), st.sampled_from(["file", "folder"])),
    max_size=14,
).map(lambda rows: [member(n, f"id {i}", c, k) for i, (n, c, k) in enumerate(rows)])


@given(MEMBERS, st.randoms(use_true_random=False))
def test_the_contract_and_no_order(members: list[Child], dice: random.Random) -> None:
    named = entry_names(members)
    assert ids(named) == oracle(members)
    shuffled = members[:]
    dice.shuffle(shuffled)
    assert list(entry_names(shuffled).items()) == list(named.items())
    for name in named:
        assert 0 < len(name.encode()) <= 255
        assert "/" not in name
        assert "\0" not in name
        assert name not in (".", "..")
    assert len(named) == len(members)


@given(MEMBERS, st.data())
def test_names_stay_when_others_come_and_go(members: list[Child], data: st.DataObject) -> None:
    """A plain name stays with the oldest; a suffixed one changes only if it becomes the oldest."""
    before = {identifier: name for name, identifier in ids(entry_names(members)).items()}
    if not members:
        return
    leaver = data.draw(st.sampled_from(members))
    after = {
        identifier: name
        for name, identifier in ids(entry_names([m for m in members if m is not leaver])).items()
    }
    gone = (set(before) - set(after)).pop()
    for identifier, name in after.items():
        if name != before[identifier]:
            assert name == before[gone]  # it inherits the plain name of the one that left


@example([member("x/y", "id 1", 0), member("x／y", "id 2", 1)], random.Random(0))
@given(MEMBERS, st.randoms(use_true_random=False))
def test_every_legal_name_stays_with_one_of_its_bearers(
    members: list[Child], dice: random.Random
) -> None:
    """Of several the oldest has it, whoever else would be shown under it and in whatever order
    they are listed."""
    dice.shuffle(members)
    named = entry_names(members)
    for name in {each.name for each in members if plain(each.name, "") == each.name}:
        bearers = [each for each in members if each.name == name]
        assert named[name] in bearers
        assert named[name] is entry_names(bearers)[name]


@given(MEMBERS, st.integers(0, 3), NAMES)
def test_a_newcomer_takes_no_name_but_one_that_it_goes_before(
    members: list[Child], created: int, name: str
) -> None:
    newcomer = member(name, "id newcomer", created)
    before = {identifier: name for name, identifier in ids(entry_names(members)).items()}
    after = {
        identifier: name for name, identifier in ids(entry_names([*members, newcomer])).items()
    }
    displaced = {id_ for id_ in before if before[id_] != after[id_]}
    assert len(displaced) <= 1
    for identifier in displaced:
        assert after["id newcomer"] == before[identifier]


def test_a_name_that_is_legal_as_it_stands_goes_before_an_older_one_that_was_made_legal() -> None:
    older, real = member("x/y.txt", "id 1", 1), member("x／y.txt", "id 2", 2)
    assert ids(entry_names([older, real])) == {
        "x／y.txt": "id 2",
        f"x／y ~{hash8('id 1')}.txt": "id 1",
    }
    assert ids(entry_names([older])) == {"x／y.txt": "id 1"}


def test_a_real_name_goes_before_a_long_one_that_is_cut_to_it() -> None:
    long = "n" * 300 + ".dwg"
    (cut,) = entry_names([member(long, "id 1", 1)])
    named = ids(entry_names([member(long, "id 1", 1), member(cut, "id 2", 2)]))
    assert named.pop(cut) == "id 2"
    ((other, identifier),) = named.items()
    assert identifier == "id 1"
    assert other.endswith(f"n ~{id_hash('id 1', 16)}.dwg")
    assert len(other.encode()) == 255


@pytest.mark.parametrize("name", ["n" * 255, "建" * 85, "\udcff" * 255, "", "."])
def test_a_name_of_255_bytes_may_be_looked_for(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("name", ["n" * 256, "建" * 86, "\udcff" * 256, "\n" * 5000])
def test_a_name_of_256_bytes_is_too_long_which_is_not_absence(name: str) -> None:
    with pytest.raises(NameTooLongError) as raised:
        check_name(name)
    assert raised.value.errno == errno.ENAMETOOLONG
    assert raised.value.message.isprintable()


def test_a_new_version_does_not_change_who_keeps_the_name() -> None:
    one, two = member("a.txt", "id 1", 5), member("a.txt", "id 2", 6)
    assert isinstance(one, File)
    newer = replace(one, mtime_ns=10**18, version_number=7, version="v7")
    assert ids(entry_names([one, two])) == ids(entry_names([two, newer]))


@pytest.mark.parametrize(
    ("name", "legal"),
    [
        ("Phase 1/2", "Phase 1／2"), ("a\0b", "a␀b"), (".", "．"), ("..", "．．"), ("...", "..."),
        ("", "(unnamed)"), ("a\nb\t ", "a\nb\t "),
        ("\ud800x", "�x"), ("ä", "ä"),
        ("a\u0308", "a\u0308"),
        (" . ", " . "), ("\udcff", "�"),
    ],
)  # fmt: skip
def test_legal_names(name: str, legal: str) -> None:
    assert legal_name(name) == legal


@pytest.mark.parametrize(
    ("name", "suffixed"),
    [
        ("plan.dwg", "plan ~88ecbcc1.dwg"), ("b.tar.gz", "b.tar ~88ecbcc1.gz"),
        (".bashrc", ".bashrc ~88ecbcc1"), ("README", "README ~88ecbcc1"),
        ("end.", "end. ~88ecbcc1"),
        ("v1.final and some more words in it", "v1.final and some more words in it ~88ecbcc1"[:0]),
    ],
)  # fmt: skip
def test_golden_suffixes(name: str, suffixed: str) -> None:
    identifier = "urn:adsk.wipprod:dm.lineage:two"
    assert id_hash(identifier) == hash8(identifier)
    want = suffixed.replace("88ecbcc1", hash8(identifier)) or with_hash(name, identifier)
    named = entry_names([member(name, "urn:one", 1), member(name, identifier, 2)])
    assert set(named) == {name, want}


def test_a_golden_hash() -> None:
    # printf %s urn:adsk.wipprod:dm.lineage:hC6k4hndRWaeIVhIjvHu8w | sha256sum | cut -c1-8
    assert id_hash("urn:adsk.wipprod:dm.lineage:hC6k4hndRWaeIVhIjvHu8w") == GOLDEN_HASH


GOLDEN_HASH = "d4b83dd5"


def test_long_names_keep_their_extension_and_are_cut_at_a_character() -> None:
    (name,) = entry_names([member("建" * 120 + ".ifc", "id", 0)])
    assert len(name.encode()) <= 255
    assert len(name.encode()) > 250
    assert name.endswith(f" ~{hash8('id')}.ifc")
    assert set(name.split(" ")[0]) == {"建"}
    (exact,) = entry_names([member("n" * 251 + ".dwg", "id", 0)])
    assert exact == "n" * 251 + ".dwg"
    (wide,) = entry_names([member("n" * 250 + ".建建建", "id", 0)])  # bytes are cut, not characters
    assert len(wide.encode()) == 255
    assert wide.endswith(f" ~{hash8('id')}.建建建")


def test_a_real_name_that_spells_somebodys_suffix_keeps_it() -> None:
    spelled = f"a ~{hash8('id 2')}.txt"
    members = [member("a.txt", "id 1", 1), member("a.txt", "id 2", 2), member(spelled, "id 3", 9)]
    named = ids(entry_names(members))
    assert named["a.txt"] == "id 1"
    assert named[spelled] == "id 3"
    (third,) = set(named) - {"a.txt", spelled}
    assert named[third] == "id 2"
    assert third == f"a ~{id_hash('id 2', 16)}.txt"
    members.reverse()
    assert ids(entry_names(members)) == named


def test_unknown_creation_counts_as_youngest_and_equal_ones_go_by_id() -> None:
    named = ids(entry_names([member("a", "id 1", None), member("a", "id 2", 10**19)]))
    assert named["a"] == "id 2"
    named = ids(entry_names([member("a", "id 2", 5), member("a", "id 1", 5)]))
    assert named["a"] == "id 1"
    hubs: list[Child] = [Hub(HubId("b.2"), "Twin"), Hub(HubId("b.1"), "Twin")]
    assert ids(entry_names(hubs))["Twin"] == "b.1"
    projects: list[Child] = [Project(ProjectId(f"b.{n}"), HubId("b.h"), "P") for n in (2, 1)]
    assert ids(entry_names(projects))["P"] == "b.1"


def test_a_repeated_id_counts_once() -> None:
    assert list(entry_names([member("a", "id"), member("a", "id")])) == ["a"]


@given(st.text(st.characters(exclude_categories=())))
def test_inode_numbers_are_63_bit_and_never_0_or_1(identity: str) -> None:
    assert 2 <= inode_number(identity) < 1 << 63


GOLDEN_INODES: dict[str, Any] = {
    "root": 853858613748612623, "hub b.1": 3572903652109418493,
    "version b.p urn:adsk.wipprod:fs.file:vf.AAA?version=1": 2673850735097515072,
}  # fmt: skip


def test_golden_inode_numbers() -> None:
    """The same on every mount: a change here changes every user's inodes."""
    assert {identity: inode_number(identity) for identity in GOLDEN_INODES} == GOLDEN_INODES


def test_a_new_version_is_a_new_inode_and_another_project_too() -> None:
    one = a_file("a")
    two = replace(one, version="other")
    three = replace(one, project_id=ProjectId("b.other"))
    numbers = {inode_number(each.identity) for each in (one, two, three)}
    assert len(numbers) == 3
