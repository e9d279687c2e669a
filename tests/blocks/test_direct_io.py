"""Writes go past the page cache while the disk keeps up, and the faster policy when it does not."""

from __future__ import annotations

import pytest

from dmfs.blocks.store.sparse_file import PATIENT_BYTES, DirectIoPolicy

MIB = 1024 * 1024
PILED_UP = PATIENT_BYTES + 1


def test_while_the_disk_keeps_up_nothing_else_is_tried() -> None:
    policy = DirectIoPolicy()
    for _ in range(10):
        policy.record(4 * MIB, 1.0, direct=True)  # slow, but nothing waits for it
        assert policy.begin(4 * MIB, PATIENT_BYTES)


def test_when_writes_pile_up_the_other_way_is_tried_once() -> None:
    policy = DirectIoPolicy()
    policy.record(4 * MIB, 0.01, direct=True)
    assert not policy.begin(4 * MIB, PILED_UP)
    for _ in range(10):  # what begins while that one is under policy does not try it as well
        assert policy.begin(4 * MIB, PILED_UP)
    policy.record(4 * MIB, 0.1, direct=False)
    assert policy.begin(4 * MIB, PILED_UP)


@pytest.mark.parametrize("direct_is_faster", [True, False])
def test_a_way_that_becomes_slower_than_the_other_was_is_left(direct_is_faster: bool) -> None:
    policy = DirectIoPolicy()
    for _ in range(5):
        policy.record(4 * MIB, 0.1 if direct_is_faster else 0.01, direct=True)
        policy.record(4 * MIB, 0.01 if direct_is_faster else 0.1, direct=False)
    assert policy.begin(4 * MIB, PILED_UP) != direct_is_faster
    for _ in range(50):
        chosen = policy.begin(4 * MIB, PILED_UP)
        policy.record(4 * MIB, 0.01 if chosen == direct_is_faster else 0.5, direct=chosen)
    assert policy.begin(4 * MIB, PILED_UP) == direct_is_faster


def test_one_hiccup_does_not_change_the_way() -> None:
    policy = DirectIoPolicy()
    for _ in range(5):
        policy.record(4 * MIB, 0.01, direct=True)
        policy.record(4 * MIB, 0.02, direct=False)
    policy.record(4 * MIB, 1.0, direct=True)
    assert policy.begin(4 * MIB, PILED_UP)


def test_small_writes_tell_nothing() -> None:
    policy = DirectIoPolicy()
    policy.record(4096, 0.000001, direct=False)
    assert policy.begin(4096, PILED_UP)  # and try nothing
    assert not policy.begin(4 * MIB, PILED_UP)  # the page cache is still untried
