"""The arithmetic of the neighbours' runs: a bound that was broken is told."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tests.desktop.neighbours.counting import seen, spent
from tests.desktop.neighbours.rows import Person, Row, both, named, table, wrong

GOOD = Row(
    "updatedb", known=False, seconds=9.6, ended=True, listings=103, signings=0, gets=0, bytes=0,
    walked={"updatedb.plocat": 101}, person=Person(reads=18, lists=18),
)  # fmt: skip


def broken(**changes: object) -> list[str]:
    return list(wrong(dataclasses.replace(GOOD, **changes), 105))  # type: ignore[arg-type]


def test_a_frugal_run_is_well() -> None:
    assert broken() == []
    assert broken(signings=10, listings=105) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"signings": 11}, "11 signings, 10 are allowed"),
        ({"listings": 106}, "106 listings of 105 folders"),
        ({"limited": 2}, "the service answered 429 2 times"),
        ({"person": Person(5, 5, ["wrong bytes: a.txt"])}, "failed: wrong bytes: a.txt"),
        ({"person": Person(0, 5)}, "says nothing"),
        ({"walked": {}}, "never looked"),
    ],
)
def test_each_bound_can_be_broken(changes: dict[str, object], words: str) -> None:
    (told,) = broken(**changes)
    assert words in told


def test_what_a_person_started_gets_all_it_wants() -> None:
    assert broken(persons=True, signings=99, opened={"clamscan": 99}) == []
    (words,) = broken(persons=True, opened={"clamscan": 9}, refused={"clamscan": 1})
    assert words == "what a person started was kept away: clamscan 1"
    assert broken(persons=True), "it opened nothing"


def test_rows_go_to_json_and_back() -> None:
    assert Row.of(json.loads(json.dumps(GOOD.as_dict()))) == GOOD


def test_tables_show_what_was_counted() -> None:
    cut = dataclasses.replace(GOOD, ended=False, bytes=1_500_000, refused={"baloo_file_extr": 7})
    line = table([cut]).splitlines()[-1]
    assert "10, cut | 103 | 0 | 0 | 1.5 | – | baloo_file_extr 7 | 18, 0 |" in line
    was = dataclasses.replace(GOOD, signings=24, neighbour="updatedb")
    new = dataclasses.replace(GOOD, neighbour="another")
    lines = both([was], [GOOD, new]).splitlines()
    assert "| 24 → 0 |" in lines[2]
    assert "| – → 0 |" in lines[3]


def test_the_persons_part_is_left_out() -> None:
    log = [
        {"route": "sign", "path": "/oss/objects/mine.txt/signeds3download", "bytes": 300},
        {"route": "cdn_get", "path": "/us-east-1/hash-of-mine/bucket", "bytes": 1000},
        {"route": "cdn_get", "path": "/us-east-1/another/bucket", "bytes": 70},
        {"route": "sign", "path": "/oss/objects/other.rvt/signeds3download"},
        {"route": "contents", "path": "/folders/mine.txt"},
    ]
    calls = {"counts": {"sign": 2, "cdn_get": 2, "contents": 1}, "log": log, "cdn_bytes": 1070,
             "status_429": 0}  # fmt: skip
    cost = spent(calls, ["mine.txt", "hash-of-mine"])
    assert (cost.signings, cost.gets, cost.bytes, cost.listings) == (1, 1, 70, 1)
    assert cost.note == ""
    many = calls | {"counts": {"contents": 5001, "sign": 2, "cdn_get": 2}}
    assert spent(many, ["mine.txt"]).note, "the log does not reach back to all of them"


def test_events_are_counted_by_program() -> None:
    def access(op: str, program: str, outcome: str = "ok") -> str:
        return json.dumps({"event": "access", "op": op, "program": program, "outcome": outcome})

    found = seen(
        [
            access("open", "tumblerd"), access("open", "tumblerd", "EACCES"),
            access("open", "person"), access("opendir", "baloo_file"), access("read", "baloo_file"),
            json.dumps({"event": "call", "program": "thunar", "route": "sign"}),
            json.dumps({"event": "dropped", "count": 3}),
            '{"event": "acc',
        ]
    )  # fmt: skip
    assert (dict(found.opened), dict(found.refused)) == ({"tumblerd": 1}, {"tumblerd": 1})
    assert dict(found.walked) == {"baloo_file": 1}
    assert found.calls["thunar", "sign"] == 1
    assert found.dropped == 3


def test_programs_are_named_the_most_first() -> None:
    assert named({}) == "–"
    counts = {"a": 1, "b": 3, "c": 2, "d": 2, "e": 1, "f": 1}
    assert named(counts) == "b 3, c 2, d 2, a 1, others 2"
