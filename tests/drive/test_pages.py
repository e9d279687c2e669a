"""Pages at once: the hint may be wrong in every way, the links are right."""

from __future__ import annotations

import math

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from dmfs.aps.paging import AT_ONCE, all_pages, first_query, numbered_query, pages_expected
from dmfs.errors import BadResponseError, UnreachableError
from tests.support.helpers import in_virtual_time, virtual


class Service:
    """So many pages; answers after ``latency(number)`` seconds."""

    def __init__(self, pages: int, latency=lambda number: 0.5, limit: str = "200") -> None:
        self.pages, self.latency, self.limit = pages, latency, limit
        self.requested: list[int] = []
        self.failing: set[int] = set()

    async def ask(self, query):
        number = int(query.get("page[number]", "0"))
        self.requested.append(number)
        await trio.sleep(self.latency(number))
        if number in self.failing:
            raise UnreachableError(f"page {number}")
        more = number + 1 < self.pages
        link = {"page[number]": str(number + 1), "page[limit]": self.limit} if more else None
        return number, link


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000))
def test_every_page_once_in_order_whatever_the_hint(pages, expected, seed):
    service = Service(pages, lambda number: (number * 7919 + seed) % 13 / 10)
    found = in_virtual_time(lambda: all_pages("list", service.ask, expected))
    assert found == list(range(pages))
    assert len(service.requested) == len(set(service.requested))
    if expected <= pages:
        assert sorted(service.requested) == list(range(pages))


@virtual
async def test_fifty_pages_take_three_rounds():
    service = Service(50)
    await all_pages("list", service.ask, 50)
    assert trio.current_time() == pytest.approx(0.5 * math.ceil(50 / AT_ONCE))


@virtual
async def test_nothing_is_begun_beyond_the_end():
    service = Service(3, lambda number: 0.1 if number == 2 else 0.5)
    assert await all_pages("list", service.ask, 500) == [0, 1, 2]
    assert max(service.requested) < AT_ONCE


@virtual
async def test_a_page_of_another_size_is_followed_link_by_link():
    service = Service(6, limit="50")
    assert await all_pages("list", service.ask, 4) == list(range(6))


@virtual
async def test_a_page_that_fails_fails_the_listing():
    service = Service(12)
    service.failing = {7}
    with pytest.raises(UnreachableError, match="page 7"):
        await all_pages("list", service.ask, 12)
    beyond = Service(3)
    beyond.failing = {3, 4}  # asked for in vain: they are not part of the listing
    assert await all_pages("list", beyond.ask, 5) == [0, 1, 2]


@virtual
async def test_a_circle_is_found():
    async def ask(query):
        return 0, first_query()

    with pytest.raises(BadResponseError, match="circle"):
        await all_pages("list", ask)


def test_hints():
    assert [pages_expected(n) for n in (None, 0, 1, 200, 201, 10_000)] == [1, 1, 1, 1, 2, 50]
    assert numbered_query(0) == first_query()
