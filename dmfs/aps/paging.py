"""All pages of a listing: in parallel if their number is known, else one after the other.

``objectCount`` of the parent's listing gives the number of pages to expect. It is only a hint: it
is older than the request, and the service filters entries after it cuts pages. ``links.next``
decides. A page counts only if the page before it links to exactly the query that was sent; from
the first other link on, the links are followed one by one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

import trio

from dmfs.errors import BadResponseError

T = TypeVar("T")
Query = Mapping[str, str]
GetPage = Callable[[Query], Awaitable[tuple[T, Query | None]]]
"""Requests one page: its decoded content (fifty raw answers would fill 400 MB) and the query of
its next link, None on the last page."""

Shelved = dict[int, tuple[T, Query | None]]
"""Pages by number, each with the query of its next link."""

PAGE_LIMIT = 200
"""The service's maximum."""
PAGES_MAX = 2000
"""400 000 entries in one folder. A longer listing must be a circle."""
AT_ONCE = 20
"""Pages in parallel, of 48 connections: 50 pages take 3 rounds. Decoding them takes a second of one
core, in parallel with the next round."""


def first_query() -> Query:
    return {"page[limit]": str(PAGE_LIMIT)}


def numbered_query(number: int) -> Query:
    """The query of page ``number`` (from 0), spelled as in the service's own links."""
    if number == 0:
        return first_query()
    return {"page[number]": str(number), "page[limit]": str(PAGE_LIMIT)}


def pages_expected(object_count: int | None) -> int:
    """The number of pages for so many entries; 1 if the number is unknown."""
    return min(max(1, -(-(object_count or 0) // PAGE_LIMIT)), PAGES_MAX)


async def all_pages(
    action: str, get_page: GetPage[T], expected: int = 1, shelved: Shelved[T] | None = None
) -> list[T]:
    """Every page, in order. ``expected``: the likely number of pages.

    ``shelved``: pages that are known, by number; they are not requested again, and what comes is
    added to it at once, so that the next try goes on from there however this one ends.
    BadResponseError for pages that link in a circle; the first error of a page in the chain.
    """
    shelved = {} if shelved is None else shelved

    async def get_numbered(number: int) -> tuple[T, Query | None]:
        if number not in shelved:
            shelved[number] = await get_page(numbered_query(number))
        return shelved[number]

    found: list[T] = []
    query: Query | None = first_query()
    if expected > 1:
        query = await _Parallel(get_numbered, expected).run(found)
    seen: set[tuple[tuple[str, str], ...]] = set()
    while query is not None:
        key = tuple(sorted(query.items()))
        if key in seen or len(found) >= PAGES_MAX:
            raise BadResponseError(f"cannot {action}: the listing pages in a circle")
        seen.add(key)
        numbered = query == numbered_query(len(found))
        page, query = await (get_numbered(len(found)) if numbered else get_page(query))
        found.append(page)
    return found


class _Parallel(Generic[T]):
    """Requests the expected pages, a few at a time, none beyond a page without a next link."""

    def __init__(
        self, get_page: Callable[[int], Awaitable[tuple[T, Query | None]]], expected: int
    ) -> None:
        self._get_page = get_page
        self._end = expected
        self._next = 0
        self._pages: dict[int, tuple[T, Query | None]] = {}
        self._failures: dict[int, Exception] = {}

    async def run(self, found: list[T]) -> Query | None:
        """Append the unbroken chain of pages to ``found``. Return the query of the next page, None
        if the chain is complete."""
        async with trio.open_nursery() as nursery:
            for _ in range(min(AT_ONCE, self._end)):
                nursery.start_soon(self._work, nursery.cancel_scope)
        number = 0
        while True:
            if number in self._failures:
                raise self._failures[number]
            page, link = self._pages[number]
            found.append(page)
            number += 1
            known = number in self._pages or number in self._failures
            if link != numbered_query(number) or not known:
                return link

    async def _work(self, scope: trio.CancelScope) -> None:
        while self._next < self._end:
            number, self._next = self._next, self._next + 1
            try:
                page, link = await self._get_page(number)
                self._pages[number] = page, link
                if link != numbered_query(number + 1):
                    self._end = min(self._end, number + 1)
            except Exception as error:  # noqa: BLE001 - raised above if the chain gets there
                self._failures[number] = error
                self._end = min(self._end, number + 1)
            if all(n in self._pages or n in self._failures for n in range(self._end)):
                scope.cancel()  # requests still under way lie beyond the end
