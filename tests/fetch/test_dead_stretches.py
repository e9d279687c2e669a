"""What is dead, until when: the memory of stalls, in made-up time."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from dmfs.fetch import dead_stretches
from dmfs.fetch.dead_stretches import PAUSE_MAX_S, PAUSE_S, DeadStretches
from dmfs.spans import BLOCK_BYTES, MIB, Span

HOST = "cdn.example"
RANGE = Span(4 * MIB, 8 * MIB)


def dead(memory: DeadStretches, name: str, position: int) -> bool:
    return memory.limit(HOST, name, Span(position, position + 10)) == position


def test_a_range_alone_is_dead_where_its_object_answers_elsewhere() -> None:
    memory = DeadStretches()
    memory.heard(HOST, "a", 50.0)
    assert not memory.timed_out(HOST, "a", RANGE, silent_since=30.0, now=60.0)
    assert dead(memory, "a", 5 * MIB)
    assert not dead(memory, "a", 0)
    assert not dead(memory, "a", 8 * MIB)
    assert not dead(memory, "b", 5 * MIB)
    assert memory.limit(HOST, "a", Span(0, 20 * MIB)) == 4 * MIB, "as far as it is well"
    memory.heard(HOST, "a", 61.0)
    assert dead(memory, "a", 5 * MIB), "bytes of other ranges say nothing of this one"
    memory.answered(HOST, "a", Span(5 * MIB, 5 * MIB + 1), 62.0)
    assert not dead(memory, "a", 4 * MIB), "one byte of it says all"


def test_an_object_of_which_nothing_came_is_dead_as_a_whole() -> None:
    memory = DeadStretches()
    memory.heard(HOST, "b", 50.0)
    assert not memory.timed_out(HOST, "a", RANGE, silent_since=30.0, now=60.0)
    assert dead(memory, "a", 0)
    assert not dead(memory, "b", 5 * MIB)
    memory.answered(HOST, "a", Span(0, 1), 61.0)
    assert not dead(memory, "a", 9 * MIB)
    assert dead(memory, "a", 5 * MIB)


def test_a_host_is_dead_once_two_objects_stalled_and_nothing_came_in_between() -> None:
    memory = DeadStretches()
    assert memory.timed_out(HOST, "a", RANGE, silent_since=30.0, now=60.0)
    assert not dead(memory, "c", 0)
    memory.heard(HOST, "c", 61.0)
    assert memory.timed_out(HOST, "b", RANGE, silent_since=90.0, now=120.0)
    assert not dead(memory, "c", 0), "it was heard between the two"
    assert memory.timed_out(HOST, "a", RANGE, silent_since=120.0, now=180.0)
    assert dead(memory, "c", 0)
    assert memory.limit("elsewhere", "c", Span(0, 10)) == 10
    memory.heard(HOST, "c", 181.0)
    assert not dead(memory, "c", 0)
    assert dead(memory, "a", 0), "each of the two must answer by itself"


def test_the_block_in_which_bytes_stopped_is_dead_too() -> None:
    memory = DeadStretches()
    memory.heard(HOST, "a", 50.0)
    memory.timed_out(HOST, "a", Span(BLOCK_BYTES + 7, MIB), silent_since=30.0, now=60.0)
    assert dead(memory, "a", BLOCK_BYTES)
    assert not dead(memory, "a", BLOCK_BYTES - 10)


def test_probes_are_a_second_apart_and_further_with_a_long_silence() -> None:
    memory = DeadStretches()
    memory.timed_out(HOST, "a", RANGE, silent_since=0.0, now=57.0)
    at, taken = 57.0, []
    while at < 1000.0:
        assert memory.is_probe_due(HOST, "a", at) == memory.is_probe_due(HOST, "a", at)
        if memory.probe_due(HOST, "a", at):
            taken.append(at)
            assert not memory.probe_due(HOST, "a", at)
        at += 0.125
    pauses = [later - sooner for sooner, later in pairwise(taken)]
    assert min(pauses) >= PAUSE_S
    assert max(pauses) <= PAUSE_MAX_S + 0.125
    assert pauses == sorted(pauses)
    assert taken[0] - 57.0 <= PAUSE_S + 0.125
    assert not memory.probe_due(HOST, "b", at), "it is not dead"


NAMES = st.sampled_from(["a", "b", "c"])
BLOCKS = st.tuples(st.integers(0, 40), st.integers(1, 12)).map(
    lambda pair: Span(pair[0] * BLOCK_BYTES, (pair[0] + pair[1]) * BLOCK_BYTES)
)
STEPS = st.lists(
    st.tuples(st.sampled_from(["stall", "heard", "answered", "probe"]), NAMES, BLOCKS,
              st.floats(0.1, 40.0)),
    max_size=40,
)  # fmt: skip
SILENCE_S = 28.5


@given(STEPS)
def test_what_is_dead_was_silent_and_what_answers_is_alive(
    steps: list[tuple[str, str, Span, float]],
) -> None:
    memory, now = DeadStretches(), 0.0
    stalled: dict[str, list[Span]] = {"a": [], "b": [], "c": []}
    heard_at = dict.fromkeys(stalled, float("-inf"))
    for what, name, span, pause_s in steps:
        now += pause_s
        if what == "stall":
            silent = memory.timed_out(HOST, name, span, silent_since=now - SILENCE_S, now=now)
            assert silent == (max(heard_at.values()) <= now - SILENCE_S)
            stalled[name].append(span)
            assert dead(memory, name, span.start), "no second deadline"
        elif what == "heard":
            memory.heard(HOST, name, now)
            heard_at[name] = now
            for other, spans in stalled.items():
                if not spans:
                    assert not dead(memory, other, span.start)
        elif what == "answered":
            memory.answered(HOST, name, span, now)
            heard_at[name] = now
            assert memory.limit(HOST, name, span) == span.stop, "nothing of it is dead"
        else:
            memory.probe_due(HOST, name, now)
        limit = memory.limit(HOST, name, span)
        assert span.start <= limit <= span.stop
        if not any(stalled.values()):
            assert limit == span.stop


def test_it_is_bounded() -> None:
    memory = DeadStretches()
    for number in range(5000):
        name = f"object {number % 2500}"
        memory.timed_out(f"host {number}", name, RANGE, silent_since=0.0, now=60.0)
        memory.heard(HOST, name, 60.0)
    for number in range(1000):
        span = Span(number * MIB, (number + 1) * MIB)
        memory.timed_out(HOST, "one", span, silent_since=0.0, now=60.0)
    assert len(memory._hosts) <= dead_stretches.HOSTS_REMEMBERED
    assert len(memory._objects) <= dead_stretches.OBJECTS_REMEMBERED
    assert len(memory._heard) <= dead_stretches.OBJECTS_REMEMBERED
    assert len(memory._objects["one"].ranges) <= dead_stretches.RANGES_REMEMBERED
