"""The orders of a listing besides that of names."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.model import Listing
from dmfs.names import inode_number
from dmfs.prefetch.listing_orders import READS_BEFORE, orders_of
from tests.support.helpers import a_file


def listing_of(count: int) -> Listing:
    dice = random.Random(count)
    files = [a_file(f"f{n:05d}", dice.randrange(1, 10_000)) for n in range(count)]
    return Listing(None, {file.name: file for file in files}, 0.0)  # type: ignore[arg-type]


KEYS = {
    "inodes": lambda file: inode_number(file.identity),
    "times": lambda file: file.mtime_ns,
    "sizes": lambda file: file.size_bytes,
}


@given(st.integers(1, 300))
def test_each_order_has_every_file_once_in_the_order_of_its_key(count: int) -> None:
    listing = listing_of(count)
    for order in orders_of(listing):
        files = [listing.entries[listing.names[index]] for index in order.sequence]
        keys = [KEYS[order.name](file) for file in files]
        assert keys == sorted(keys)
        assert sorted(order.sequence) == list(range(count))
        assert all(order.position(index) == at for at, index in enumerate(order.sequence))


@pytest.mark.parametrize("down", [False, True])
def test_reads_in_an_order_follow_it_and_no_other(down: bool) -> None:
    orders = orders_of(listing_of(200))
    for order in orders:
        reads = [order.sequence[at] for at in range(50, 50 + READS_BEFORE)]
        reads = reads[::-1] if down else reads
        followed = [each.name for each in orders if each.follows(reads)]
        assert order.name in followed
        assert order.name == "times" or followed == [order.name]  # all times are equal here


def test_reads_in_no_order_hardly_ever_follow_one() -> None:
    orders = orders_of(listing_of(200))
    dice = random.Random(3)
    tries = [dice.sample(range(200), READS_BEFORE) for _ in range(20_000)]
    followed = sum(any(order.follows(reads) for order in orders) for reads in tries)
    assert followed < 20
