"""What a person is told of on the desktop: few events, each once until it ends."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.telemetry.notices import (
    CONFLICT,
    DELETIONS,
    FAILED,
    NO_ROOM,
    OFFLINE,
    OFFLINE_S,
    PINNED,
    SIGNED_OUT,
    Memory,
    notices,
)

PLACE = "/home/ada/Autodesk"


def shown(steps: Iterable[tuple[float, dict[str, Any]]]) -> list[tuple[float, str]]:
    """The moments and kinds of what would be shown."""
    memory, found = Memory(), []
    for at, status in steps:
        memory, new = notices(memory, status, at, PLACE)
        found += [(at, each.kind) for each in new]
    return found


def at(state: str = "online", files: int = 0, done: int = 0, total: int = 0, **pins: Any) -> Any:
    return {"state": state, "open_files": files, "pins": {"done": done, "total": total, **pins}}


def test_signed_out_is_told_once_until_somebody_signs_in() -> None:
    out, away, well = at("signed_out"), at("offline"), at()
    told = shown(enumerate([well, out, out, away, out, well, out]))
    assert told == [(1, SIGNED_OUT), (6, SIGNED_OUT)]


def test_offline_is_told_after_ten_minutes_and_only_with_files_open() -> None:
    away = at("offline", files=1)
    assert shown([(0, away), (599, away)]) == []
    assert shown([(5, away), (605, away), (900, away)]) == [(605, OFFLINE)]
    assert shown([(0, away), (300, at()), (601, away), (1200, away)]) == []
    idle = at("offline")
    assert shown([(0, idle), (2000, idle), (2100, away)]) == [(2100, OFFLINE)]
    closed = [(0, away), (700, away), (800, idle), (900, away), (1000, at()), (1100, away)]
    assert shown(closed) == [(700, OFFLINE)], "a file that is closed meanwhile ends nothing"


def test_offline_as_asked_for_is_no_news() -> None:
    asked = at("offline_forced", files=3)
    assert shown([(0, asked), (2000, asked)]) == []
    assert shown([(0, at("offline", files=1)), (300, asked), (700, at("offline", files=1))]) == []


def test_pins_that_are_complete_are_told_once() -> None:
    steps = [at(total=3), at(done=2, total=3), at(done=3, total=3), at(done=3, total=3)]
    assert shown(enumerate(steps)) == [(2, PINNED)]


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([at(done=3, total=3)], 0),  # complete when the mount began
        ([at(total=2), at(done=1, total=2, failed=1)], 0),
        ([at(total=3), at(done=3, total=3), at(done=2, total=3), at(done=3, total=3)], 1),
        ([at(total=3), at(done=3, total=3), at(done=3, total=5), at(done=5, total=5)], 2),
        ([at(total=3), at(done=3, total=3), at(), at(total=2), at(done=2, total=2)], 2),
        ([at(total=1), at()], 0),  # unpinned
    ],
)
def test_a_new_version_of_a_pinned_file_is_no_news_and_a_new_pin_is(
    steps: list[Any], told: int
) -> None:
    assert [kind for _, kind in shown(enumerate(steps))] == [PINNED] * told


def test_no_room_is_told_once_until_there_is_some() -> None:
    full, well = at(total=5, no_room=True), at(total=5)
    assert shown(enumerate([full, full, well, full])) == [(0, NO_ROOM), (3, NO_ROOM)]


@pytest.mark.parametrize("status", [{}, {"state": "new"}, {"pins": None}, {"open_files": None}])
def test_a_status_that_knows_little_is_no_news(status: dict[str, Any]) -> None:
    assert shown([(0, status), (2000, status)]) == []


def test_the_words_name_the_drive_and_the_remedy() -> None:
    _, (notice,) = notices(Memory(), at("signed_out"), 0.0, PLACE)
    assert PLACE in notice.body
    assert "dmfs login" in notice.body
    _, (notice,) = notices(Memory(incomplete=True), at(done=1, total=1), 0.0, PLACE)
    assert notice.body == f"1 file at {PLACE} can be read offline."


STATES = st.sampled_from(["online", "offline", "signed_out", "offline_forced"])
COUNTS = st.integers(0, 3)


@given(st.lists(st.tuples(STATES, COUNTS, COUNTS, COUNTS, st.booleans()), max_size=40))
def test_a_state_is_never_told_twice_while_it_lasts(rows: list[Any]) -> None:
    steps = [
        at(state, files=files, done=done, total=total, no_room=full)
        for state, files, done, total, full in rows
    ]
    told = shown((minute * 60.0, status) for minute, status in enumerate(steps))
    for kind in (SIGNED_OUT, OFFLINE, NO_ROOM):
        moments = [int(when / 60) for when, each in told if each == kind]
        for first, second in pairwise(moments):
            between = steps[first + 1 : second]
            ended = {
                SIGNED_OUT: any(each["state"] == "online" for each in between),
                OFFLINE: any(each["state"] != "offline" for each in between),
                NO_ROOM: any(not each["pins"]["no_room"] for each in between),
            }
            assert ended[kind], kind
    for when, kind in told:
        if kind == OFFLINE:
            before = steps[int((when - OFFLINE_S) / 60) : int(when / 60) + 1]
            assert {each["state"] for each in before} == {"offline"}


def writes(**counts: Any) -> Any:
    return {"state": "online", "writing": {"failed": 0, "conflicts": 0, "deletions": 0} | counts}


def test_what_was_saved_and_needs_a_person_is_told_once_until_it_is_well() -> None:
    failed, both = writes(failed=1), writes(failed=2, conflicts=1)
    told = shown(enumerate([writes(), failed, failed, both, writes(), failed]))
    assert told == [(1, FAILED), (3, CONFLICT), (5, FAILED)]
    assert shown(enumerate([writes(deletions=49), writes(deletions=500)])) == [(1, DELETIONS)]


def test_the_words_of_what_was_saved_name_the_file_and_the_number() -> None:
    bad = [{"path": "/Hub/Project/plan.dwg", "reason": "no"}]
    _, (notice,) = notices(Memory(), writes(failed=1, bad=bad), 0.0, PLACE)
    assert "/Hub/Project/plan.dwg" in notice.body
    assert "dmfs uploads" in notice.body
    _, (notice,) = notices(Memory(), writes(deletions=500), 0.0, PLACE)
    assert notice.summary == "500 files are about to be deleted"
    assert PLACE in notice.body
