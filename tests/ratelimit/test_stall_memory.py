"""What used up its deadline is not waited for again, what answers is not refused."""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from dmfs.ratelimit.stall_memory import (
    GROUPS_MAX,
    LAG_S,
    PARTS_MAX,
    PAUSE_FIRST_S,
    PAUSE_MAX_S,
    SHORT_MAX_S,
    STUTTER_S,
    WANTED_LATELY_S,
    StallMemory,
    Stretch,
    Verdict,
)

DEADLINE_S = 30.0


def walk(memory: StallMemory, silent: list[bool], *, answer_s: float = 0.2) -> float:
    """Seconds that a walk over folders takes; ``silent``: which do not answer."""
    now = 0.0
    for number, stalls in enumerate(silent):
        stretch = Stretch("contents", str(number))
        verdict = memory.blocked(stretch, now)
        limit_s = DEADLINE_S if verdict.wait_s is None else verdict.wait_s
        if stalls or answer_s > limit_s:
            now += limit_s
            if limit_s > 0:
                memory.timed_out(stretch, now)
        else:
            now += answer_s
            memory.answered(stretch, now, answer_s)
    return now


def test_a_walk_over_stalled_folders_takes_two_deadlines_and_a_moment() -> None:
    for count in (3, 100, 10_000):
        assert walk(StallMemory(), [True] * count) <= 2 * DEADLINE_S + SHORT_MAX_S


def test_stalled_folders_among_healthy_ones_take_two_deadlines_and_a_moment_each() -> None:
    took_s = walk(StallMemory(), [number % 2 == 0 for number in range(100)])
    assert took_s <= 2 * DEADLINE_S + 48 * 1.0 + SHORT_MAX_S * 5 + 50 * 0.2


def test_the_second_request_for_what_stalled_fails_at_once_and_a_probe_follows() -> None:
    memory, folder = StallMemory(), Stretch("contents", "a")
    assert memory.blocked(folder, 0) == Verdict()
    memory.timed_out(folder, 30)
    assert memory.blocked(folder, 30).refused
    assert memory.due(30) is None
    due_at = memory.next_due_at(30)
    assert due_at == 30 + PAUSE_FIRST_S + LAG_S
    assert memory.due(due_at) == folder
    assert memory.due(due_at) is None, "one at a time"
    assert memory.answered(folder, due_at + 1)
    assert memory.blocked(folder, due_at + 1) == Verdict()
    assert len(memory) == 0


def test_one_stalled_folder_does_not_refuse_its_siblings() -> None:
    memory = StallMemory()
    for _ in range(5):
        memory.timed_out(Stretch("contents", "a"), 30)
    assert memory.blocked(Stretch("contents", "b"), 30) == Verdict()
    assert memory.blocked(Stretch("hubs", "a"), 30) == Verdict()


def test_a_healthy_folder_of_a_refused_route_is_looked_at_and_ends_the_refusal() -> None:
    memory = StallMemory()
    for part in "ab":
        memory.timed_out(Stretch("contents", part), 60)
    verdict = memory.blocked(Stretch("contents", "healthy"), 60)
    assert verdict.is_probe
    assert verdict.wait_s == SHORT_MAX_S
    assert memory.answered(Stretch("contents", "healthy"), 60.2, 0.2)
    for part in "cde":
        assert not memory.blocked(Stretch("contents", part), 60.2).refused
    # and what stalled is looked at at once: it was the route's fault, perhaps
    assert memory.blocked(Stretch("contents", "a"), 60.2).is_probe


def test_what_was_asked_for_last_is_probed_first_in_the_background() -> None:
    memory = StallMemory()
    for part in "ab":
        memory.timed_out(Stretch("contents", part), 60)
    memory.blocked(Stretch("contents", "c"), 60)  # a probe itself, in vain
    for part in "de":
        assert memory.blocked(Stretch("contents", part), 61).refused
    now, probed = 61.0, []
    for _ in range(4):
        now = max(now, memory.next_due_at(now))
        found = memory.due(now)
        assert found is not None
        probed.append(found.part)
    assert probed == ["e", "d", "a", "b"], "the newest, then each of those that stalled"


def test_speculation_is_refused_and_is_no_probe() -> None:
    memory = StallMemory()
    memory.timed_out(Stretch("contents", "a"), 0)
    assert memory.blocked(Stretch("contents", "a"), 100, may_probe=False).refused
    assert memory.due(101 + WANTED_LATELY_S) is None, "nobody asked for it"
    verdict = memory.blocked(Stretch("contents", "a"), 300, patient=True)
    assert verdict == Verdict(None, is_probe=True), "a poll takes its time"


def test_nobody_asks_so_nothing_is_probed() -> None:
    memory = StallMemory()
    memory.timed_out(Stretch("contents", "a"), 0)
    probes, now = 0, 0.0
    while now < 3600 and (due_at := memory.next_due_at(now)) < 3600:
        now = max(now, due_at)
        probes += memory.due(now) is not None
    assert 1 <= probes <= WANTED_LATELY_S / PAUSE_MAX_S + 5


def test_a_stall_of_long_ago_does_not_shorten_what_its_siblings_get() -> None:
    memory = StallMemory()
    for part in "ab":
        memory.timed_out(Stretch("contents", part), 0)
    memory.answered(Stretch("contents", "c"), 1, 0.1)
    assert memory.blocked(Stretch("contents", "d"), 2).wait_s is not None
    assert memory.blocked(Stretch("contents", "d"), STUTTER_S + 1) == Verdict()


GROUPS = st.sampled_from(["contents", "hubs"])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["ask", "ahead", "poll", "stall", "answer", "due"]),
        GROUPS,
        st.integers(0, 4).map(str),
        st.sampled_from([0.0, 0.1, 1.0, 7.0, 45.0]),
    ),
    max_size=80,
)


@given(STEPS)
def test_it_refuses_only_what_stalled_and_probes_one_at_a_time(
    steps: list[tuple[str, str, str, float]],
) -> None:
    memory, now = StallMemory(), 0.0
    stalled: dict[str, set[str]] = defaultdict(set)
    since_answer: dict[str, set[str]] = defaultdict(set)
    last_probe: dict[str, float] = {}
    for step, group, part, pause_s in steps:
        now += pause_s
        stretch = Stretch(group, part)
        if step == "stall":
            memory.timed_out(stretch, now)
            stalled[group].add(part)
            since_answer[group].add(part)
        elif step == "answer":
            memory.answered(stretch, now)
            if len(since_answer[group]) >= 2:
                last_probe.clear()  # looked at anew
            stalled[group].discard(part)
            since_answer[group].clear()
        elif step == "due":
            found = memory.due(now)
            if found is not None:
                key = found.group if len(since_answer[found.group]) >= 2 else str(found)
                assert now - last_probe.get(key, -100.0) >= PAUSE_FIRST_S
                last_probe[key] = now
                assert stalled[found.group]
        else:
            verdict = memory.blocked(
                stretch, now, may_probe=step != "ahead", patient=step == "poll"
            )
            group_refused = len(since_answer[group]) >= 2
            blamed = group_refused or part in stalled[group]
            assert memory.is_blocked(stretch) == blamed
            if not blamed:
                assert not verdict.refused
                assert not verdict.is_probe
                if len(stalled[group]) < 2:
                    assert verdict == Verdict()
            else:
                assert verdict.refused or verdict.is_probe
                assert step != "ahead" or verdict.refused
            if verdict.is_probe:
                key = group if group_refused else str(stretch)
                assert now - last_probe.get(key, -100.0) >= PAUSE_FIRST_S
                last_probe[key] = now
                assert step == "poll" or 0 < (verdict.wait_s or 0) <= SHORT_MAX_S
    for group in ("contents", "hubs"):
        memory.answered(Stretch(group, "x"), now)
        assert not memory.blocked(Stretch(group, "new"), now).refused, "an answer ends it"


def test_it_remembers_a_bounded_number_of_parts_and_groups() -> None:
    memory = StallMemory()
    for group in range(GROUPS_MAX * 2):
        memory.timed_out(Stretch(str(group), "a"), group)
    assert len(memory) == GROUPS_MAX
    memory.clear()
    for part in range(PARTS_MAX * 2):
        memory.timed_out(Stretch("contents", str(part)), part)
        memory.blocked(Stretch("contents", f"other {part}"), part)
    assert len(memory) == PARTS_MAX
