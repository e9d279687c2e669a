"""The arithmetic of the budget, by property: no window is ever overfilled, nobody starves."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dmfs.ratelimit.limits import SHARE, Priority, Rate, parse_rates, wait_s

STEPS = st.lists(
    st.tuples(st.sampled_from(list(Priority)), st.floats(0, 3)), min_size=1, max_size=300
)


REQUEST_S = 30 * 0.95
"""An open may take so long (``metadata_timeout``)."""


def let_through(rate: Rate, steps: list[tuple[Priority, float]]) -> list[tuple[Priority, float]]:
    """Each caller comes so long after the last one was let through, and waits for so long."""
    now = 1000.0
    calls: list[float] = []
    found: list[tuple[Priority, float]] = []
    for priority, pause_s in steps:
        now += pause_s
        while True:
            calls = [at for at in calls if at > now - rate.span_s]
            seconds = wait_s(rate, calls, priority, now)
            if seconds <= 0:
                break
            now += max(seconds, 1e-6)
        calls.append(now)
        found.append((priority, now))
    return found


@given(STEPS, st.integers(1, 40))
def test_no_window_has_more_than_the_limit(steps, limit):
    rate = Rate(limit, 10.0)
    moments = [at for _, at in let_through(rate, steps)]
    for number, start in enumerate(moments):
        within = [at for at in moments[number:] if at < start + rate.window_s]
        assert len(within) <= limit


@given(st.lists(st.sampled_from([Priority.WALK, Priority.AHEAD]), min_size=60, max_size=200))
def test_a_walk_never_stands_still_and_leaves_a_reserve(kinds):
    """Of 300 a minute: after the burst a call every few seconds, and some always left."""
    rate = Rate(300)
    steps = [(Priority.AHEAD, 0.0)] * 270 + [(kind, 0.0) for kind in kinds]
    passed = let_through(rate, steps)
    moments = [at for _, at in passed]
    waits = [
        b - a for a, (kind, b) in zip(moments, passed[1:], strict=False) if kind == Priority.WALK
    ]
    assert max(waits, default=0) < 10
    for start in moments:
        within = [at for at in moments if start - rate.window_s < at <= start]
        assert len(within) <= 300 * SHARE[Priority.WALK]
        assert wait_s(rate, within, Priority.LOOKUP, start) == 0


def test_the_whole_quota_is_used():
    rate = Rate(300)
    moments = [at for _, at in let_through(rate, [(Priority.WALK, 0.0)] * 1500)]
    per_min = (1500 - 300) / ((moments[-1] - moments[300]) / 60)
    assert per_min >= 0.95 * 300 * 60 / 61 * SHARE[Priority.WALK]


@given(
    st.integers(1, 80),
    st.lists(st.floats(0, 0.5), min_size=1, max_size=20),
    st.sampled_from([1000, 300]),
)
@example(80, [0.0], 1000)
@settings(max_examples=10, deadline=None)
def test_a_steady_reader_is_never_refused(readers, pauses, limit):
    """Up to 80 at once (the window of a series, and as many opens besides), for three minutes:
    the waits stay within what a request may take, no window is overfilled, nothing is lost."""
    rate = Rate(limit)
    readers = max(1, readers * limit // 1000)  # as many as 1000 a minute would serve
    calls: list[float] = []
    now, arrivals = 1000.0, [1000.0] * readers
    moments, longest_s, turn = [], 0.0, 0
    while now < 1000 + 3 * rate.span_s:
        arrivals.sort()
        now = max(now, arrivals[0])
        while (seconds := wait_s(rate, calls, Priority.READ, now)) > 0:
            now += max(seconds, 1e-6)
            calls = [at for at in calls if at > now - rate.span_s]
        longest_s = max(longest_s, now - arrivals[0])
        calls.append(now)
        moments.append(now)
        turn += 1
        arrivals[0] = now + pauses[turn % len(pauses)] * readers / 1000
    assert longest_s < REQUEST_S
    for number, start in enumerate(moments):
        after = number + limit
        assert after >= len(moments) or moments[after] >= start + rate.window_s
    assert len(moments) >= 0.95 * 3 * limit


@pytest.mark.parametrize("text", ["contents", "contents=0", "contents=-1", "nothing=5", "hubs=x"])
def test_nonsense_is_refused(text):
    with pytest.raises(ValueError, match="calls a minute"):
        parse_rates(text, 60.0)


def test_published_rates_can_be_overridden():
    assert parse_rates("off", 60.0) == {}
    table = parse_rates("contents=10, hubs=5", 60.0)
    assert (table["contents"].limit, table["hubs"].limit, table["oss"].limit) == (10, 5, 1000)
