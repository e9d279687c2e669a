"""A listing in pages: asked for at once where their number is known. Floor 1.

``objectCount`` of the parent's listing tells how many pages to expect. It is a hint and no more
(it is older than the question, and pages are cut before anything is filtered out of them):
``links.next`` has the last word. A page counts only if the page before it links to exactly the
question that was put; where the chain says otherwise it is followed, one page after the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, TypeVar

import trio

from dmfs.errors import BadResponseError

T = TypeVar("T")
Query = Mapping[str, str]
AskPage = Callable[[Query], Awaitable[tuple[T, Query | None]]]
"""One page, decoded (fifty answers as they come would fill 400 MB), and what it links to."""

PAGE_LIMIT = 200
"""The service's largest."""
PAGES_MAX = 2000
"""400 000 entries in one folder. A listing that goes on beyond that is a circle in disguise."""
AT_ONCE = 20
"""Pages asked for in parallel, of 48 that the wire may: 50 pages in 3 rounds. Decoding them takes a
second of one core besides, during which the next ones travel."""


def first_query() -> Query:
    return {"page[limit]": str(PAGE_LIMIT)}


def numbered_query(number: int) -> Query:
    """As the service's own links spell it."""
    if number == 0:
        return first_query()
    return {"page[number]": str(number), "page[limit]": str(PAGE_LIMIT)}


def pages_expected(object_count: int | None) -> int:
    """How many pages that many entries fill; 1 where nothing is known."""
    return min(max(1, -(-(object_count or 0) // PAGE_LIMIT)), PAGES_MAX)


async def all_pages(what: str, ask: AskPage[T], expected: int = 1) -> list[T]:
    """Every page, in order."""
    found: list[T] = []
    query: Query | None = first_query()
    if expected > 1:
        query = await _Ahead(ask, expected).run(found)
    seen: set[tuple[tuple[str, str], ...]] = set()
    while query is not None:
        key = tuple(sorted(query.items()))
        if key in seen or len(found) >= PAGES_MAX:
            raise BadResponseError(f"cannot {what}: the listing pages in a circle")
        seen.add(key)
        page, query = await ask(query)
        found.append(page)
    return found


class _Ahead(Generic[T]):
    """The expected pages, a few at a time; none is begun beyond the end that a link has told."""

    def __init__(self, ask: AskPage[T], expected: int) -> None:
        self._ask = ask
        self._end = expected
        self._next = 0
        self._pages: dict[int, tuple[T, Query | None]] = {}
        self._failures: dict[int, Exception] = {}

    async def run(self, found: list[T]) -> Query | None:
        """Puts the unbroken chain into ``found``; the query at which to go on one by one."""
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
                page, link = await self._ask(numbered_query(number))
                self._pages[number] = page, link
                if link != numbered_query(number + 1):
                    self._end = min(self._end, number + 1)
            except Exception as error:  # noqa: BLE001 - raised above if the chain gets there
                self._failures[number] = error
                self._end = min(self._end, number + 1)
            if all(n in self._pages or n in self._failures for n in range(self._end)):
                scope.cancel()  # what is still under way lies beyond the end
