"""Hosts of the data plane that asked to be left alone for a while (429, 503). Floor 1.

Retry-After is said to one GET and meant for all of them: without this, sixteen connections would
each run into the wall and be told one by one.
"""

from __future__ import annotations

from urllib.parse import urlsplit

import cachetools
import trio

from dmfs.errors import DriveError

HOLD_MAX_S = 60.0
"""No read waits longer than that, so nobody gains by asking later; and a server that says an hour
by mistake is asked again within a minute."""
HOSTS_REMEMBERED = 64


class HostBackoff:
    """``refused`` when a host said when to come back, ``wait`` before each GET."""

    def __init__(self) -> None:
        self._until: cachetools.LRUCache[str, tuple[float, type[DriveError]]] = cachetools.LRUCache(
            HOSTS_REMEMBERED
        )

    def refused(self, url: str, error: DriveError) -> None:
        """A host answered with ``error``; nothing happens where it named no time."""
        if error.retry_after_s:
            until = trio.current_time() + min(error.retry_after_s, HOLD_MAX_S)
            self._until[_host(url)] = until, type(error)

    async def wait(self, what: str, url: str) -> None:
        """Until the host of ``url`` may be asked. The kind of error that it answered with, at
        once, where that is later than the deadline of whoever waits."""
        until, kind = self._until.get(_host(url), (0.0, DriveError))
        if until >= trio.current_effective_deadline():
            wait_s = until - trio.current_time()
            raise kind(f"cannot {what}: the storage asks to wait {wait_s:.0f} s")
        if until > trio.current_time():
            await trio.sleep_until(until)


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return ""
