"""What is found in listings on disk, without a drive: the same as in listings in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.jobs.find.criteria import Criteria, SizeTest
from dmfs.jobs.find.known import Known, NotADirectoryHere, Trust, find_known
from dmfs.model import (
    Child,
    Directory,
    File,
    Folder,
    FolderId,
    Hub,
    HubId,
    ItemId,
    Listing,
    Project,
    ProjectId,
    Root,
    Shortcut,
    StorageId,
    VersionId,
)
from dmfs.namespace.listing_cache import Freshness, ListingCache
from dmfs.namespace.listing_codec import Record, encode
from dmfs.namespace.stored.database import StoredListings
from dmfs.system.clock import Moment

HUB = Hub(HubId("b.h"), "Hub")
PROJECT = Project(ProjectId("b.p"), HUB.id, "Project")
TRUST = Trust(60, 300, 900)
NOTHING: tuple[str, ...] = ()


class Texts(StoredListings):
    """Listings as they would lie on disk."""

    def __init__(self, records: Sequence[Record]) -> None:
        super().__init__(Path("/nowhere"), "")
        self.by_identity = {
            record.directory.identity: encode(record).decode("ascii") for record in records
        }
        self.looks = 0

    def texts(self, identities: Sequence[str]) -> Iterator[tuple[str, str]]:
        self.looks += 1
        for each in identities:
            if each in self.by_identity:
                yield each, self.by_identity[each]


def folder(name: str, rollup_ns: int | None = 1) -> Folder:
    return Folder(FolderId(name), PROJECT.id, HUB.id, name, mtime_ns=7, rollup_ns=rollup_ns)


def file(name: str, size_bytes: int | None = 5, mtime_ns: int = 9) -> File:
    return File(
        ItemId(f"i {name}"), "v", StorageId("s"), FolderId("f"), PROJECT.id, HUB.id, name,
        size_bytes, mtime_ns, created_by="d",
    )  # fmt: skip


def shortcut(name: str) -> Shortcut:
    return Shortcut(
        ItemId(f"i {name}"), VersionId("v"), FolderId("f"), PROJECT.id, HUB.id, name, b"12345678"
    )


def listed(directory: Directory, *children: Child, age_s: float = 0.0, lost: int = 0) -> Record:
    return Record(
        moment=Moment.now(age_s), directory=directory, parent="",
        rollup_ns=directory.rollup_ns if isinstance(directory, Folder) else None,
        entries={child.name: child for child in children}, lost=lost,
    )  # fmt: skip


def world(*more: Record) -> Texts:
    plans, deep = folder("Plans"), folder('De"ep é')
    return Texts([
        listed(Root(), HUB), listed(HUB, PROJECT), listed(PROJECT, plans),
        listed(plans, deep, file("a.dwg"), file("B.DWG", 5000), shortcut("Bracket.url")),
        listed(deep, file('n"ame\\ é.dwg', None, 20), file("x, [y].txt")), *more,
    ])  # fmt: skip


def found(
    texts: Texts, path: str, criteria: Criteria | None = None, **options: bool
) -> Known | None:
    options = {"whole_only": True, "with_details": False} | options
    return find_known(
        texts, TRUST, [part for part in path.split("/") if part], criteria or Criteria(),
        whole_only=options["whole_only"], with_details=options["with_details"],
    )  # fmt: skip


PLANS = "/Hub/Project/Plans"
DEEP = f'{PLANS}/De"ep é'


@pytest.mark.parametrize(
    ("criteria", "paths"),
    [
        (Criteria(name="*.dwg"), [f"{PLANS}/a.dwg", f'{DEEP}/n"ame\\ é.dwg']),
        (Criteria(any_case="b*"), [f"{PLANS}/B.DWG", f"{PLANS}/Bracket.url"]),
        (Criteria(name="*é*"), [DEEP, f'{DEEP}/n"ame\\ é.dwg']),
        (Criteria(kind="d"), [PLANS, DEEP]),
        (Criteria(size=SizeTest(1, 6)), [f"{PLANS}/B.DWG", f"{PLANS}/Bracket.url"]),
        (Criteria(newer_ns=10), [f'{DEEP}/n"ame\\ é.dwg']),
        (Criteria(name="Plans"), [PLANS]),
        (Criteria(name="nothing"), []),
    ],
)
def test_what_is_meant_is_found(criteria: Criteria, paths: list[str]) -> None:
    known = found(world(), PLANS, criteria)
    assert known is not None
    assert known.is_whole
    assert sorted(known.paths) == sorted(paths)
    assert known.folders == 2
    detailed = found(world(), PLANS, criteria, with_details=True)
    assert detailed is not None
    assert sorted(each["path"] for each in detailed.entries) == sorted(paths)


def test_the_root_and_what_is_below_it() -> None:
    known = found(world(), "/", with_details=True)
    assert known is not None
    kinds = {each["path"]: each["type"] for each in known.entries}
    assert kinds["/"] == "root"
    assert (kinds["/Hub"], kinds["/Hub/Project"], kinds[PLANS]) == ("hub", "project", "folder")
    assert kinds[f"{PLANS}/Bracket.url"] == "shortcut"
    sizes = {each["path"]: each.get("size") for each in known.entries}
    assert (sizes[f"{PLANS}/Bracket.url"], sizes[f"{PLANS}/B.DWG"], sizes[PLANS]) == (8, 5000, None)


def test_unknown_and_stale_directories_are_no_answer_unless_nobody_wants_more() -> None:
    texts = world(listed(folder("Plans"), folder("new"), file("a.dwg"), age_s=1000))
    del texts.by_identity[PROJECT.identity]
    assert found(texts, PLANS) is None
    texts = world(listed(folder("Plans"), folder("new"), file("a.dwg"), age_s=1000))
    first = found(texts, PLANS)
    assert first is not None
    assert not first.is_whole
    known = found(texts, PLANS, whole_only=False)
    assert known is not None
    assert known.unknown == [f"{PLANS}/new"]
    assert sorted(known.paths) == [PLANS, f"{PLANS}/a.dwg", f"{PLANS}/new"]
    assert 90 < known.oldest_s < 200
    assert found(texts, "/Hub/Nowhere") is None


@pytest.mark.parametrize("path", [f"{PLANS}/a.dwg", f"{PLANS}/a.dwg/below", f"{PLANS}/Bracket.url"])
def test_a_file_has_nothing_in_it(path: str) -> None:
    with pytest.raises(NotADirectoryHere):
        found(world(), path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[:-20],
        lambda text: text[: text.index("\n")],
        lambda text: text.replace('"f", ', '"q", '),
        lambda text: "",
        lambda text: text.replace('"version": ', '"version": 9'),
    ],
)
@pytest.mark.parametrize("criteria", [Criteria(), Criteria(name="nothing"), Criteria(newer_ns=1)])
def test_a_damaged_listing_is_unknown(damage: Callable[[str], str], criteria: Criteria) -> None:
    texts = world()
    plans = folder("Plans").identity
    texts.by_identity[plans] = damage(texts.by_identity[plans])
    known = found(texts, PLANS, criteria, whole_only=False)
    if known is not None and not known.unknown:  # what is skipped is not checked to the letter
        assert criteria.name == "nothing"
        assert not known.paths


def test_directories_in_a_circle_end() -> None:
    a, b = folder("a"), folder("b")
    texts = world(listed(folder("Plans"), a), listed(a, b), listed(b, a))
    known = found(texts, PLANS)
    assert known is not None
    assert known.folders == 3


AGES = st.floats(0, 2000).map(lambda age: round(age) + 0.5)
ROLLUPS = st.sampled_from([None, 1, 2])


@given(
    st.lists(AGES, min_size=3, max_size=3, unique=True),
    st.lists(ROLLUPS, min_size=3, max_size=3),
    ROLLUPS,
    st.booleans(),
)
def test_a_listing_on_disk_is_fresh_for_as_long_as_in_memory(
    ages: list[float], shown: list[int | None], recorded: int | None, incomplete: bool
) -> None:
    """A chain of three folders: whatever their ages and rollups, both say the same."""
    outer, middle = folder("outer", shown[0]), folder("middle", shown[1])
    inner = folder("inner", shown[2])
    records = [
        listed(outer, middle, age_s=ages[0]),
        listed(middle, inner, age_s=ages[1], lost=int(incomplete)),
        listed(folder("inner", recorded), age_s=ages[2]),
    ]
    texts = Texts([listed(Root(), HUB), listed(HUB, PROJECT), listed(PROJECT, outer), *records])
    cache, now = ListingCache(Freshness()), time.monotonic()
    top = listed(PROJECT, outer)
    for record, age_s in ((top, 0.0), *zip(records, ages, strict=True)):
        cache.put(
            Listing(
                record.directory, record.entries, now - age_s, record.rollup_ns, lost=record.lost
            ),
            record.moment,
        )
    stale = sum(cache.fresh_for(record.directory, now) <= 0 for record in records)
    known = found(texts, "/Hub/Project/outer", whole_only=False)
    assert known is not None
    assert known.stale == stale
