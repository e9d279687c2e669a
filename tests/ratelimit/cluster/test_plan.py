"""Shares without the coordinator, what holds after its return, its time, and its address."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.errors import SetupError
from dmfs.ratelimit.cluster import plan
from dmfs.ratelimit.cluster.address import key_of, library_url, shown
from dmfs.ratelimit.limits import MARGIN_S, Rate

RATE = Rate(60)
AMONG_ALL = plan.cluster_rate(RATE)
moments = st.lists(st.floats(0, 100), max_size=60).map(sorted)


def test_calls_count_longer_among_machines_by_whole_seconds() -> None:
    assert AMONG_ALL.span_s == 62.0
    assert plan.cluster_rate(Rate(5, 0.3)).span_s == 3.0
    assert plan.cluster_rate(Rate(5, 0.3)).span_s >= 0.3 + MARGIN_S + plan.CLUSTER_MARGIN_S


@given(moments, st.integers(1, 20), st.floats(0, 200))
def test_all_shares_and_what_counts_are_at_most_the_limit(known, workers, after) -> None:
    now = 100 + after
    counting = sum(each > now - AMONG_ALL.span_s for each in known)
    assert workers * plan.share(AMONG_ALL, known, workers, now) + counting <= RATE.limit


@given(moments, st.integers(1, 20), st.floats(0, 100), st.floats(0, 60))
def test_a_share_never_shrinks_while_the_coordinator_is_away(known, workers, at, later) -> None:
    before = plan.share(AMONG_ALL, known, workers, at + 100)
    assert plan.share(AMONG_ALL, known, workers, at + 100 + later) >= before


@given(moments, st.integers(1, 20))
def test_a_share_grows_when_it_is_said_to(known, workers) -> None:
    now = 100.0
    before = plan.share(AMONG_ALL, known, workers, now)
    in_s = plan.share_grows_in_s(AMONG_ALL, known, workers, now)
    whole = RATE.limit // workers
    after = plan.share(AMONG_ALL, known, workers, now + in_s + 1e-6)
    assert after > before or after == whole
    assert plan.share(AMONG_ALL, known, workers, now + in_s - 1e-3) == before or in_s < 1e-3


def test_after_a_window_it_is_one_part_of_the_workers() -> None:
    assert plan.share(AMONG_ALL, [1.0] * 60, 4, 1.0) == 0
    assert plan.share(AMONG_ALL, [1.0] * 60, 4, 64.0) == 15
    assert plan.share(AMONG_ALL, [], 7, 64.0) == 8


@given(st.floats(-10, 100))
def test_a_new_coordinator_is_believed_after_a_while_and_never_before_a_pause(age_s) -> None:
    now_is = plan.phase(age_s)
    assert now_is.may_call or plan.SETTLE_S - plan.GUARD_S <= age_s < plan.SETTLE_S
    assert now_is.may_share == (age_s >= plan.SETTLE_S or age_s < 0)
    if now_is.again_s:
        assert plan.phase(age_s + now_is.again_s + 1e-6) != now_is


def test_a_look_does_not_forget_what_was_granted_meanwhile() -> None:
    assert plan.with_granted([1.0, 2.0], [1.0, 2.0, 3.5], 3.0) == [1.0, 2.0, 3.5]
    assert plan.with_granted([1.0, 3.499], [1.0, 3.5], 3.0) == [1.0, 3.499], "seen already"
    assert plan.with_granted([], [1.0, 2.0], 3.0) == [], "the server forgot"


def test_the_coordinators_time_is_that_of_its_quickest_answer() -> None:
    clock = plan.ServerClock()
    assert clock.offset_s == 0
    assert not clock.add(10.0, 110.4, 11.0)  # some time in this second
    assert not clock.add(12.0, 112.01, 12.02)
    assert clock.offset_s == pytest.approx(100.0)
    assert clock.add(13.0, 143.01, 13.02), "its clock was set, and calls were forgotten"
    assert clock.offset_s == pytest.approx(130.0)
    assert not clock.add(14.0, 142.01, 14.02), "set back: they count for longer"
    assert clock.offset_s == pytest.approx(128.0)


@pytest.mark.parametrize(
    ("text", "url", "for_people"),
    [
        ("valkey://h:1/2", "valkey://h:1/2", "valkey://h:1/2"),
        ("redis://u:hush@h", "valkey://u:hush@h", "redis://h"),
        ("rediss://:hush@[::1]:7/0", "valkeys://:hush@[::1]:7/0", "rediss://[::1]:7/0"),
        ("unix:///run/v.sock?db=1", "valkey+unix:///run/v.sock?db=1", "unix:///run/v.sock"),
    ],
)
def test_addresses(text, url, for_people) -> None:
    assert library_url(text) == url
    assert shown(text) == for_people


@pytest.mark.parametrize(
    "text",
    ["hush", "http://hush@h", "valkey://", "redis://u:hush@", "redis://:hush@h:99999", "unix://",
     "redis://u:hush@h/x", "redis://u:hush@h\n", "redis://[hush", "redis://u:hush@h:0"],
)  # fmt: skip
def test_an_address_that_is_none_is_refused_and_not_shown(text) -> None:
    with pytest.raises(SetupError) as caught:
        library_url(text)
    assert "hush" not in str(caught.value) + caught.value.hint
    assert "quota" in caught.value.message


@given(st.text(max_size=40).map(lambda text: f"redis://user:p4ssw0rd@{text}"))
def test_no_password_is_ever_shown(text) -> None:
    assert "p4ssw0rd" not in shown(text)


def test_keys_hold_no_client_id() -> None:
    assert "my-app" not in key_of("my-app", "oss")
    assert key_of("my-app", "oss") != key_of("another", "oss")
