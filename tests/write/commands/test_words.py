"""Rows and lines of what waits: pure."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dmfs.cli.writing.table import lines, what_waits
from dmfs.write.care.rows import (
    DELETE,
    FILE,
    Report,
    Row,
    counts,
    find,
    in_order,
    is_bad,
    left,
    time_left_s,
)
from dmfs.write.care.tally import Tally
from dmfs.write.records import State

ROW = Row("/Hub/Project/a.txt", FILE, State.WAITING, "its turn comes", 0, 2048, draft_id="d1")
UP = replace(
    ROW, path="/Hub/b.txt", state=State.UPLOADING, reason="", done_bytes=512, rate=512.0,
    draft_id="d2",
)  # fmt: skip
BAD = replace(ROW, path="/Hub/c.txt", state=State.FAILED, reason="no", draft_id="d3")
BESIDE = replace(ROW, path="/Hub/d.txt", state=State.CONFLICT, reason="who", draft_id="d4")
LOCAL = replace(ROW, path="/Hub/~$e", state=State.LOCAL, reason="lock", draft_id="d5")
GONE = Row("/Hub/f.txt", DELETE, State.WAITING, item_id="i6")
ALL = [LOCAL, ROW, GONE, BESIDE, UP, BAD]


def text(*rows: Row, **more: Any) -> list[str]:
    return lines(Report(rows, **more).as_json(local=True))


def test_what_needs_a_person_comes_first() -> None:
    states = [row.state for row in in_order(ALL)]
    assert states[:3] == [State.FAILED, State.CONFLICT, State.UPLOADING]
    assert states[-1] is State.LOCAL


def test_each_row_says_what_a_person_wants_to_know() -> None:
    assert text(ROW)[0] == "waiting     2.0 KiB       /Hub/Project/a.txt  (its turn comes)"
    assert text(UP)[0] == "uploading   25 % of 2.0 KiB  /Hub/b.txt  (512 B/s, 3.0 s left)"
    assert text(GONE)[0] == "waiting     delete        /Hub/f.txt"
    later = replace(ROW, next_try_s=41.0)
    assert text(later)[0].endswith("(its turn comes; again in 41 s)")
    assert text(ROW, BAD)[-1] == "1 waiting, 1 failed; 2.0 KiB to send"
    assert text() == ["nothing waits: all that was saved is at the service"]


def test_how_long_it_will_take_is_said_of_all_together() -> None:
    assert text(UP, ROW, left_s=1140.0)[-1].endswith("; 4.0 KiB to send, about 19 min left")
    assert "left" not in text(ROW, left_s=4.0)[-1], "over before it is read"
    assert Report([ROW], left_s=1140.04).as_json(local=True)["left_s"] == 1140.0


def test_the_time_left_is_that_of_bytes_or_of_new_files() -> None:
    asked: list[int] = []

    def new_files_s(count: int) -> float:
        asked.append(count)
        return 0.5

    old = replace(UP, size_bytes=10_000, done_bytes=0, rate=100.0, base_version=3)
    assert time_left_s([old, BAD, LOCAL, GONE], new_files_s) == 100
    assert time_left_s([old, replace(old, rate=300.0)], new_files_s) == 50, "both have their rate"
    large = replace(UP, size_bytes=3 << 20, done_bytes=1 << 20, rate=float(1 << 20))
    assert time_left_s([replace(large, state=State.WAITING), large, GONE], new_files_s) == 4
    assert asked == [0, 0, 2]
    assert time_left_s([ROW, UP], new_files_s) == 0.5, "small ones wait for their turn alone"
    assert time_left_s([replace(old, rate=0.0)], new_files_s) == 0.5, "nobody knows of bytes"


def test_what_is_damaged_and_whose_the_rest_is_stands_below() -> None:
    shown = text(ROW, damaged="draft 1: gone", others=2)
    assert shown[-2:] == [
        "2 files of another sign-in: they go on when that one is back", "damaged: draft 1: gone"
    ]  # fmt: skip


def test_no_character_of_a_name_or_reason_moves_the_cursor() -> None:
    evil = replace(ROW, path="/Hub/a\x1b[2J\n.txt", reason="b\r\x07")
    assert all(char.isprintable() for line in text(evil) for char in line)


def test_local_files_are_shown_on_demand() -> None:
    assert Report(ALL).as_json(local=False)["uploads"] == [
        row.as_json() for row in ALL if row is not LOCAL
    ]


def test_a_row_is_found_by_its_path_its_draft_or_where_no_path_is_known_its_name() -> None:
    lost = replace(ROW, path="lost.txt", draft_id="d7")
    rows = [*ALL, lost]
    assert find(rows, "/Hub/b.txt") == [UP]
    assert find(rows, "Hub/b.txt/") == [UP]
    assert find(rows, "d3") == find(rows, "/d3") == [BAD]
    assert find(rows, "/Hub/Project/lost.txt") == [lost]
    assert find(rows, "/Hub/a.txt") == []
    assert find(rows, "b.txt") == []


def test_what_is_left_and_what_is_bad() -> None:
    assert left(ALL) == [ROW, GONE, UP, BAD]
    assert is_bad([BESIDE])
    assert is_bad([BAD])
    assert not is_bad([ROW, UP, GONE, LOCAL])
    assert counts(ALL) == {
        "waiting": 1, "uploading": 1, "failed": 1, "conflicts": 1, "local": 1, "names": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], ""),
        ([LOCAL, BESIDE], ""),
        ([ROW], "1 file waits to go up"),
        ([ROW, UP], "2 files wait to go up"),
        ([ROW, GONE], "1 file waits to go up, 1 rename or deletion as well"),
        ([GONE], "1 rename or deletion waits to go up"),
        ([GONE, GONE], "2 renames or deletions wait to go up"),
        ([BAD], "1 failed"),
        ([ROW, BAD], "1 file waits to go up, 1 failed"),
    ],
)
def test_what_waits_in_a_few_words(rows: list[Row], words: str) -> None:
    assert what_waits([row.as_json() for row in rows]) == words


def test_events_are_counted_and_passed_on() -> None:
    heard: list[tuple[str, object]] = []
    tally = Tally(lambda kind, fields: heard.append((kind, fields)))
    tally("upload", {"size_bytes": 7})
    tally("upload", {"size_bytes": 3})
    tally("failed", {})
    assert tally.gauges() == {
        "writing.upload": 2, "writing.uploaded_bytes": 10, "writing.failed": 1,
    }  # fmt: skip
    assert [kind for kind, _ in heard] == ["upload", "upload", "failed"]
