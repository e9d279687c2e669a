"""When a range is late."""

from __future__ import annotations

from dmfs.fetch.stragglers import FLOOR_S, MARGIN, NEVER, SAMPLES, SAMPLES_NEEDED, StragglerDetector

MIB = 1024 * 1024


def test_nothing_is_late_while_little_is_known() -> None:
    pace = StragglerDetector()
    for _ in range(SAMPLES_NEEDED - 1):
        pace.took(8 * MIB, 1.0)
    assert pace.straggler_timeout_s(8 * MIB) == NEVER
    pace.took(8 * MIB, 1.0)
    assert pace.straggler_timeout_s(8 * MIB) == MARGIN
    assert pace.straggler_timeout_s(128 * 1024) == NEVER, "sizes are not compared with others"


def test_a_fast_link_is_given_the_floor() -> None:
    pace = StragglerDetector()
    for _ in range(SAMPLES):
        pace.took(MIB, 0.02)
    assert pace.straggler_timeout_s(MIB) == FLOOR_S


def test_a_link_that_became_slow_is_believed() -> None:
    pace = StragglerDetector()
    for _ in range(SAMPLES):
        pace.took(MIB, 0.02)
    for _ in range(SAMPLES):
        pace.took(MIB, 10.0)
    assert pace.straggler_timeout_s(MIB) == 20.0
