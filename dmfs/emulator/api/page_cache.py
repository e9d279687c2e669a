"""Cache of rendered pages, valid while the world does not change.

Making a page of 200 entries costs tens of milliseconds of Python; a client that is being measured
should be measured against the service's own speed (the latency settings), not against that.
"""

from __future__ import annotations

from collections import OrderedDict

from dmfs.emulator.http.messages import Answer

_BUDGET_BYTES = 64 * 1024 * 1024


class PageCache:
    """Answers by key, the oldest dropped beyond 64 MiB."""

    def __init__(self) -> None:
        self._pages: OrderedDict[tuple[object, ...], Answer] = OrderedDict()
        self._size_bytes = 0

    def get(self, key: tuple[object, ...]) -> Answer | None:
        """A copy that the caller may spoil."""
        page = self._pages.get(key)
        if page is None:
            return None
        return Answer(page.status, dict(page.headers), page.content, page.start, page.stop)

    def put(self, key: tuple[object, ...], page: Answer) -> None:
        """Store a copy; drops the oldest pages beyond the budget."""
        self._pages[key] = Answer(
            page.status, dict(page.headers), page.content, page.start, page.stop
        )
        self._size_bytes += page.length
        while self._size_bytes > _BUDGET_BYTES and len(self._pages) > 1:
            _, dropped = self._pages.popitem(last=False)
            self._size_bytes -= dropped.length
