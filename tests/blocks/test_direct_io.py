"""Writes go past the page cache while the disk keeps up, and the faster way when it does not."""

from __future__ import annotations

import pytest

from dmfs.blocks.store.direct_io import PATIENT_BYTES, DirectIoPolicy

MIB = 1024 * 1024
PILED_UP = PATIENT_BYTES + 1


def test_while_the_disk_keeps_up_nothing_else_is_tried() -> None:
    way = DirectIoPolicy()
    for _ in range(10):
        way.took(4 * MIB, 1.0, direct=True)  # slow, but nothing waits for it
        assert way.begin(4 * MIB, PATIENT_BYTES)


def test_when_writes_pile_up_the_other_way_is_tried_once() -> None:
    way = DirectIoPolicy()
    way.took(4 * MIB, 0.01, direct=True)
    assert not way.begin(4 * MIB, PILED_UP)
    for _ in range(10):  # what begins while that one is under way does not try it as well
        assert way.begin(4 * MIB, PILED_UP)
    way.took(4 * MIB, 0.1, direct=False)
    assert way.begin(4 * MIB, PILED_UP)


@pytest.mark.parametrize("direct_is_faster", [True, False])
def test_a_way_that_becomes_slower_than_the_other_was_is_left(direct_is_faster: bool) -> None:
    way = DirectIoPolicy()
    for _ in range(5):
        way.took(4 * MIB, 0.1 if direct_is_faster else 0.01, direct=True)
        way.took(4 * MIB, 0.01 if direct_is_faster else 0.1, direct=False)
    assert way.begin(4 * MIB, PILED_UP) != direct_is_faster
    for _ in range(50):
        chosen = way.begin(4 * MIB, PILED_UP)
        way.took(4 * MIB, 0.01 if chosen == direct_is_faster else 0.5, direct=chosen)
    assert way.begin(4 * MIB, PILED_UP) == direct_is_faster


def test_one_hiccup_does_not_change_the_way() -> None:
    way = DirectIoPolicy()
    for _ in range(5):
        way.took(4 * MIB, 0.01, direct=True)
        way.took(4 * MIB, 0.02, direct=False)
    way.took(4 * MIB, 1.0, direct=True)
    assert way.begin(4 * MIB, PILED_UP)


def test_small_writes_tell_nothing() -> None:
    way = DirectIoPolicy()
    way.took(4096, 0.000001, direct=False)
    assert way.begin(4096, PILED_UP)  # and try nothing
    assert not way.begin(4 * MIB, PILED_UP)  # the page cache is still untried
