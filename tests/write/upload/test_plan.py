"""What is decided without I/O."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs import errors
from dmfs.model import File, StorageId
from dmfs.write.records import Base, DraftId, NewItem, NewVersion
from dmfs.write.upload.plan import conflicts
from dmfs.write.upload.plan.answers import Kind, pause_after
from dmfs.write.upload.plan.look import LOOKS_AT_S, Seen, Verdict, after_lost_answer
from dmfs.write.upload.plan.part_plan import (
    FILE_MAX_BYTES,
    MIB,
    PART_BYTES,
    PART_MAX_BYTES,
    PartPlan,
    part_size,
    url_range,
)
from dmfs.write.upload.plan.records import Step, UploadRow, moved_on
from tests.write.upload.model import FOLDER, HUB, PROJECT
from tests.write.upload.rig import PLACE, new_item

FILE = File(
    "item", "item?version=7", "storage7", FOLDER, PROJECT, HUB, "Plan.dwg", 10,  # type: ignore[arg-type]
    version_number=7, created_by="Ada",
)  # fmt: skip
BASE = Base.of(FILE, 10)


@given(st.integers(0, FILE_MAX_BYTES))
def test_parts_cover_the_file_and_are_what_the_storage_takes(size: int) -> None:
    plan = PartPlan(size, part_size(size))
    assert plan.part_bytes % MIB == 0
    assert PART_BYTES <= plan.part_bytes <= PART_MAX_BYTES
    assert 1 <= plan.count <= 2000
    assert plan.part(1).start == 0
    assert plan.part(plan.count).stop == size
    middle = max(1, plan.count // 2)
    if middle < plan.count:
        assert plan.part(middle).stop == plan.part(middle + 1).start
        assert plan.part(middle).length == plan.part_bytes
    assert (plan.count == 1) == (size <= PART_BYTES)


@given(
    st.integers(1, 60), st.integers(1, 60), st.sets(st.integers(1, 60)), st.integers(1, 40)
)  # fmt: skip
def test_urls_are_fetched_for_what_is_needed_next(
    count: int, number: int, accepted: set[int], ahead: int
) -> None:
    if number > count:
        return
    plan = PartPlan(count * 10, 10)
    numbers = url_range(plan, number, accepted, ahead)
    assert numbers.start == number
    assert 1 <= len(numbers) <= 25
    assert numbers[-1] <= count
    assert numbers[-1] == number or numbers[-1] not in accepted
    if not accepted and number < count and ahead > 1:
        assert len(numbers) >= 2, "a session of one URL has a key that is good for nothing"


@pytest.mark.parametrize("seen", list(Seen))
def test_a_lost_answer_is_looked_for_until_it_cannot_come_any_more(seen: Seen) -> None:
    waited = 0.0
    for _ in range(20):
        decision = after_lost_answer(seen, waited)
        if decision.verdict is not Verdict.WAIT:
            break
        assert decision.wait_s >= 0.5
        waited += decision.wait_s
    if seen is Seen.OURS:
        assert decision.verdict is Verdict.DONE
        assert waited == 0
    else:
        assert waited >= LOOKS_AT_S[-1]
        expected = {Seen.AS_BEFORE: Verdict.POST, Seen.OTHER: Verdict.BESIDE}
        assert decision.verdict is expected.get(seen, Verdict.ANEW)
    back = after_lost_answer(Seen.AS_BEFORE, -5000)
    assert (back.verdict, back.wait_s) == (Verdict.WAIT, LOOKS_AT_S[0])


@given(st.floats(-1e6, 1e6))
def test_no_wait_is_lost_in_rounding(since_s: float) -> None:
    decision = after_lost_answer(Seen.AS_BEFORE, since_s)
    assert decision.verdict is Verdict.POST or decision.wait_s >= 0.5


def _row(**changes: object) -> UploadRow:
    row = UploadRow.begin(DraftId("d"), NewVersion(PLACE, BASE, "Plan.dwg"), 3, 20)
    return replace(row, **changes)  # type: ignore[arg-type]


@given(
    step=st.sampled_from(list(Step)),
    etags=st.dictionaries(st.integers(1, 50), st.text(max_size=40), max_size=5),
    key=st.text(max_size=20),
    item=st.booleans(),
    posted=st.booleans(),
)
def test_a_row_is_read_as_it_was_written(
    step: Step, etags: dict[int, str], key: str, item: bool, posted: bool
) -> None:
    import json

    row = _row(step=step, etags=etags, upload_key=key, posted=FILE if posted else None)
    row = replace(row, storage_id=StorageId("s"), sha1="0" * 40)
    if step is Step.COMPLETE:
        row = replace(row, etags={1: "e"})
    if step in (Step.POSTED, Step.COPY):
        row = replace(row, posted=FILE)
    if item:
        row = replace(row, target=NewItem(PLACE.named("x"), "x"))
    change = row.change()
    assert (change.kind, change.key) == ("upload", "d")
    assert UploadRow.of_row(json.loads(json.dumps(change.record))) == row
    assert key not in repr(row) or len(key) < 4 or key in repr(replace(row, upload_key=""))


@pytest.mark.parametrize(
    "damage",
    [
        {"step": "x"},
        {"part_bytes": 0},
        {"etags": 5},
        {"target": {}},
        {"etags": {"x": 1}},
        {"step": "parts"},
        {"step": "complete", "storage_id": "s", "sha1": "0", "etags": {"2": "e"}},
        {"step": "post", "storage_id": "s"},
        {"step": "posted", "storage_id": "s"},
    ],
)
def test_a_damaged_row_is_refused(damage: dict[str, object]) -> None:
    record = {**(_row().change().record or {}), **damage}
    with pytest.raises((ValueError, TypeError, KeyError, AttributeError)):
        UploadRow.of_row(record)


def test_the_tip_is_ours_by_its_storage_or_by_everything_else() -> None:
    ours = replace(FILE, version="item?version=8", storage_id=StorageId("s8"), version_number=8)
    row = _row(storage_id="s8", posts=1, first_post_s=1000.0, expected=8)
    assert conflicts.is_ours(ours, row)
    moved = replace(ours, storage_id=StorageId("final"), size_bytes=20, mtime_ns=int(900e9))
    assert not conflicts.is_ours(moved, row)
    assert conflicts.may_be_ours(moved, "me", row, "me")
    for other in (
        conflicts.may_be_ours(moved, "ada", row, "me"),
        conflicts.may_be_ours(moved, "", row, ""),
        conflicts.may_be_ours(replace(moved, version_number=9), "me", row, "me"),
        conflicts.may_be_ours(replace(moved, name="Other.dwg"), "me", row, "me"),
        conflicts.may_be_ours(replace(moved, size_bytes=21), "me", row, "me"),
        conflicts.may_be_ours(replace(moved, mtime_ns=int(870e9)), "me", row, "me"),
        conflicts.may_be_ours(moved, "me", replace(row, posts=0), "me"),
    ):
        assert not other


def test_a_rename_is_no_conflict_and_a_write_is() -> None:
    renamed = replace(FILE, version="item?version=8", name="New.dwg", version_number=8)
    assert conflicts.stands_on(BASE, renamed)
    assert conflicts.stands_on(BASE, replace(FILE, storage_id=StorageId("other")))
    written = replace(renamed, storage_id=StorageId("other"))
    assert not conflicts.stands_on(BASE, written)
    assert not conflicts.stands_on(
        replace(BASE, storage_id=StorageId("")), replace(written, storage_id=StorageId(""))
    )


def test_the_name_of_an_item_is_the_services_unless_we_rename() -> None:
    renamed = replace(FILE, name="New.dwg")
    assert conflicts.name_to_post(NewVersion(PLACE, BASE, "Plan.dwg"), renamed) == "New.dwg"
    assert conflicts.name_to_post(NewVersion(PLACE, BASE, "Mine.dwg"), renamed) == "Mine.dwg"


@pytest.mark.parametrize(
    ("expected", "number", "over"), [(8, 8, 0), (8, 9, 8), (8, 11, 10), (8, None, 0), (8, 7, 0)]
)
def test_the_number_tells_whether_somebody_slipped_in(
    expected: int, number: int | None, over: int
) -> None:
    assert conflicts.overtaken(_row(expected=expected), number) == over
    item = UploadRow.begin(DraftId("d"), new_item(), 1, 1)
    assert conflicts.overtaken(replace(item, expected=1), 3) == 0


def test_who_has_a_name() -> None:
    cafe, cafe_apart = "Caf\u00e9.dwg", "Cafe\u0301.DWG"
    children = [replace(FILE, name=cafe_apart), replace(FILE, name="x")]
    taken = conflicts.who_has(cafe, children)
    assert taken is not None
    assert (taken.exactly, taken.child.name) == (False, cafe_apart)
    taken = conflicts.who_has(cafe, [*children, replace(FILE, name=cafe)])
    assert taken is not None
    assert taken.exactly
    assert conflicts.who_has("y", children) is None


def test_what_the_next_generation_stands_on() -> None:
    posted = replace(FILE, version="item?version=8", version_number=8, name="Plan.dwg")
    again = moved_on(NewVersion(PLACE, BASE, "Plan.dwg"), posted, _row())
    assert isinstance(again, NewVersion)
    assert (again.base.number, again.base.size_bytes, again.name) == (8, 20, "Plan.dwg")
    renamed = moved_on(NewVersion(PLACE, BASE, "Mine.dwg"), posted, _row())
    assert renamed.name == "Mine.dwg"
    beside = replace(posted, name="Plan (conflict).dwg")
    after = moved_on(new_item("Plan.dwg"), beside, _row(conflict="somebody"))
    assert after.name == "Plan (conflict).dwg"


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (errors.SignedOutError("x"), Kind.FIXED, "signed out"),
        (errors.TokenRefusedError("x"), Kind.FIXED, "signed out"),
        (errors.LockedError("locked by Eve"), Kind.FIXED, "locked by Eve"),
        (errors.AccessError("no right"), Kind.FAILED, "no right"),
        (errors.OfflineError("x"), Kind.BACKOFF, "offline"),
        (errors.UnknownOutcomeError("lost"), Kind.BACKOFF, "lost"),
        (errors.BusyError("x"), Kind.BACKOFF, "the service is busy"),
        (errors.InUseError("being processed"), Kind.BACKOFF, "being processed"),
        (errors.BadInputError("bad"), Kind.FAILED, "bad"),
        (errors.BadResponseError("odd"), Kind.BACKOFF, "odd"),
        (errors.NoRoomError("full"), Kind.BACKOFF, "full"),
    ],
)
def test_what_waits_and_what_is_for_a_person(
    error: errors.DriveError, kind: Kind, reason: str
) -> None:
    pause = pause_after(error, 0.0)
    assert (pause.kind, pause.reason) == (kind, reason)


def test_processing_is_waited_for_half_an_hour() -> None:
    error = errors.InUseError("being processed")
    assert pause_after(error, 1799.0).kind is Kind.BACKOFF
    assert pause_after(error, 1800.0).kind is Kind.FAILED
