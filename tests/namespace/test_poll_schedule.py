"""When a directory's project is polled."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dmfs.namespace.poll_schedule import Periods, PollSchedule

PERIODS = Periods(recent=30.0, other=300.0)
pauses = st.lists(st.floats(0.1, 29.0), min_size=40, max_size=60)


@given(pauses, st.integers(1, 3))
def test_what_is_in_use_all_the_time_is_polled_all_the_same(uses: list[float], folders: int):
    """The first poll of a project used to wait for a pause of 30 s: it never came."""
    schedule, now, polled = PollSchedule(PERIODS), 1000.0, [1000.0]
    for number, pause_s in enumerate(uses):
        schedule.on_use(f"folder {number % folders}", "project", 0.0, now)
        now += pause_s
        due = schedule.due(now)
        if due is not None:
            assert due[0] == "project"
            assert now - polled[-1] >= PERIODS.recent
            polled.append(now)
            schedule.on_polled("project", 1, now)
        assert now - polled[-1] < PERIODS.recent + max(uses)


def test_what_was_used_once_is_polled_after_the_period_and_not_at_once():
    schedule = PollSchedule(PERIODS)
    schedule.on_use("folder", "project", 0.0, 100.0)
    assert schedule.due(129.0) is None
    assert schedule.due(130.0) == ("project", ["folder"])


def test_what_is_watched_is_polled_at_once_although_it_is_used_then():
    schedule = PollSchedule(PERIODS)
    schedule.watch("folder", "project", 0.0)
    schedule.on_use("folder", "project", 0.0, 100.0)
    assert schedule.due(100.0) == ("project", ["folder"])
