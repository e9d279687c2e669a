"""When a range is late."""

from __future__ import annotations

from dmfs.fetch.link_stats import (
    DURATIONS,
    DURATIONS_NEEDED,
    LATE_FACTOR,
    LATE_LEAST_S,
    NEVER,
    StragglerDetector,
)

MIB = 1024 * 1024


def test_nothing_is_late_while_little_is_known() -> None:
    detector = StragglerDetector()
    for _ in range(DURATIONS_NEEDED - 1):
        detector.record(8 * MIB, 1.0)
    assert detector.timeout_s(8 * MIB) == NEVER
    detector.record(8 * MIB, 1.0)
    assert detector.timeout_s(8 * MIB) == LATE_FACTOR
    assert detector.timeout_s(128 * 1024) == NEVER, "sizes are not compared with others"


def test_a_fast_link_is_given_the_floor() -> None:
    detector = StragglerDetector()
    for _ in range(DURATIONS):
        detector.record(MIB, 0.02)
    assert detector.timeout_s(MIB) == LATE_LEAST_S


def test_a_link_that_became_slow_is_believed() -> None:
    detector = StragglerDetector()
    for _ in range(DURATIONS):
        detector.record(MIB, 0.02)
    for _ in range(DURATIONS):
        detector.record(MIB, 10.0)
    assert detector.timeout_s(MIB) == 20.0
