"""What is to be done for an export, decided without I/O."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.aps.questions.exports import (
    decode_formats,
    decode_job,
    decode_job_id,
    decode_result,
)
from dmfs.errors import BadResponseError
from dmfs.exports.records import Export, State, export_name, is_design
from dmfs.exports.steps import (
    DOUBT_S,
    POLLS_A_MINUTE,
    STANDING_S,
    Wish,
    chosen_format,
    next_step,
    poll_pause_s,
)
from dmfs.model import FolderId, HubId, ItemId, ProjectId, Shortcut, VersionId

DESIGN = Shortcut(
    ItemId("urn:adsk.wipprod:dm.lineage:x"), VersionId("urn:adsk.wipprod:fs.file:vf.x?version=1"),
    FolderId("f"), ProjectId("a.p"), HubId("a.h"), "Bracket.url", b"", version_number=1,
    extension_type="versions:autodesk.fusion360:Design",
)  # fmt: skip
EXPORT = Export(DESIGN, "f3z", "posted", 1000.0)
TIMES = st.floats(0, 1e9)


@given(st.sampled_from(get_args(State)), TIMES, TIMES, TIMES, st.booleans())
def test_nothing_that_may_have_been_ordered_is_ordered_again_unless_a_person_knows(
    state, since_s, warned_s, at_s, by_pin
):
    export = Export(DESIGN, "f3z", state, since_s, warned_s=warned_s)
    step = next_step(export, Wish(at_s, by_pin=by_pin))
    if step == "order" and state in ("posting", "doubt"):
        known = warned_s > 0 and abs(at_s - warned_s) >= DOUBT_S
        assert abs(at_s - since_s) > STANDING_S if by_pin else known
    if state == "ready":
        assert step == "fetch"
    if state == "posted" and abs(at_s - since_s) <= STANDING_S:
        assert step == "poll"


def test_a_person_who_was_told_a_minute_ago_orders_anew():
    doubt = replace(EXPORT, state="doubt", warned_s=1000.0)
    assert next_step(doubt, Wish(1059.0)) == "doubt"
    assert next_step(doubt, Wish(1061.0)) == "order"
    assert next_step(replace(doubt, warned_s=0.0), Wish(1e6)) == "doubt", "nobody was told"
    assert next_step(doubt, Wish(1061.0, by_pin=True)) == "doubt"
    assert next_step(doubt, Wish(1001.0 + STANDING_S, by_pin=True)) == "order"


def test_a_clock_that_was_set_back_keeps_no_design_from_being_made():
    doubt = replace(EXPORT, state="doubt", since_s=1e9, warned_s=1e9)
    assert next_step(doubt, Wish(1e6)) == "order"
    assert next_step(doubt, Wish(1e6, by_pin=True)) == "order"


def test_what_failed_is_ordered_by_the_next_command_and_not_by_the_one_that_saw_it():
    failed = replace(EXPORT, state="failed")
    assert next_step(failed, Wish(999.0)) == "failed"
    assert next_step(failed, Wish(1000.0)) == "failed", "it may be the one that saw it"
    assert next_step(failed, Wish(1001.0)) == "order"
    assert next_step(failed, Wish(1001.0, by_pin=True)) == "failed"
    assert next_step(None, Wish(0.0)) == "order"


def test_a_job_without_an_end_is_given_up_after_a_day():
    assert next_step(EXPORT, Wish(1000.0 + STANDING_S - 1)) == "poll"
    assert next_step(EXPORT, Wish(1001.0 + STANDING_S)) == "order"


@given(st.integers(0, 10_000), st.integers(1, 10_000))
def test_looks_stay_within_the_published_rate_however_many_wait(polls, jobs):
    pause_s = poll_pause_s(polls, jobs)
    assert jobs / pause_s * 60 <= POLLS_A_MINUTE * 1.001 or pause_s >= 2
    assert jobs * 60 / pause_s <= max(POLLS_A_MINUTE * 1.001, jobs * 60 / 30)
    assert poll_pause_s(0, 1) == 2
    assert poll_pause_s(polls, 1) <= 30
    assert poll_pause_s(polls + 1, jobs) >= pause_s


def test_the_format_is_the_wanted_one_else_f3z_else_the_first():
    assert chosen_format("step", ("f3z", "step")) == "step"
    assert chosen_format("", ("step", "f3z")) == "f3z"
    assert chosen_format("", ("pdf", "dwg")) == "pdf"
    assert chosen_format("f3z", ("pdf", "dwg")) == ""
    assert chosen_format("", ()) == ""


@given(st.text(min_size=1).filter(lambda text: not any("\ud800" <= c <= "\udfff" for c in text)))
def test_names_of_exports_fit(name):
    made = export_name(f"{name}.url", "step", "id")
    assert len(made.encode()) <= 255
    assert made.endswith(".step")
    if len(name.encode()) < 240:
        assert made == f"{name}.step"


def test_only_designs_with_a_version_are_designs():
    assert is_design(DESIGN)
    assert not is_design(replace(DESIGN, version_id=None))
    assert not is_design(replace(DESIGN, extension_type="versions:autodesk.bim360:Document"))
    assert not is_design(None)


# Answers of the service


def test_answers_of_the_service_as_documented():
    formats = [{"fileType": "pdf"}, {"fileType": "DWG"}, {"fileType": "../x"}, {"fileType": "pdf"}]
    assert decode_formats({"data": {"attributes": {"formats": formats}}}) == ("pdf", "dwg")
    assert decode_job_id({"data": [{"type": "jobs", "id": "j1"}]}, "x") == "j1"
    assert decode_job_id({"data": {"type": "jobs", "id": "j1"}}, "x") == "j1"
    queued = {"data": {"id": "j1", "attributes": {"status": "queued"}}}
    assert decode_job(queued, "x").status == "waiting"
    failed = {"data": {"id": "j1", "attributes": {"status": "failed"}}}
    assert decode_job(failed, "x").status == "failed"
    there = "https://host/data/v1/projects/a.p/downloads/a%3Ab"
    assert decode_job({"location": there}, "x") == ("done", "a:b", "")
    storage = {"relationships": {"storage": {"data": {"id": "urn:adsk.objects:os.object:b/k"}}}}
    assert decode_result({"data": storage}, "x") == "urn:adsk.objects:os.object:b/k"


@pytest.mark.parametrize(
    ("decode", "answer"),
    [
        (decode_job_id, {}),
        (decode_job_id, {"data": []}),
        (decode_job_id, {"data": [{"id": "x y"}]}),
        (decode_job, {}),
        (decode_job, {"location": "https://wifi.example/sign-in"}),
        (decode_job, {"location": ""}),
        (decode_job, {"location": "/data/v1/projects/p/downloads/"}),
        (decode_result, {"data": None}),
        (decode_result, {"data": {"relationships": {"storage": {"data": {"id": "x"}}}}}),
    ],
)
def test_answers_of_another_shape_are_one_line(decode, answer):
    with pytest.raises(BadResponseError) as caught:
        decode(answer, "look")
    assert "\n" not in caught.value.message


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(),
                    lambda v: st.lists(v) | st.dictionaries(st.text(), v)))  # fmt: skip
def test_any_answer_is_decoded_or_refused(value):
    answer = {"data": value, "location": value}
    assert isinstance(decode_formats(answer), tuple)
    for decode in (decode_job_id, decode_job, decode_result):
        try:
            decode(answer, "look")
        except BadResponseError:
            pass
