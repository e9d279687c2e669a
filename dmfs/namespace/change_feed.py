"""Which names of a directory changed, and the subscribers to these changes."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from dmfs.model import Child, Directory

log = logging.getLogger(__name__)

OnChange = Callable[[Directory, Sequence[str]], None]
"""Gets a directory and the names in it that now mean another node, or no node, or a new one."""


class ChangeFeed:
    """Calls its subscribers, in the order of their subscriptions."""

    def __init__(self) -> None:
        self._subscribers: list[OnChange] = []
        self._arrivals: list[Callable[[], Awaitable[None]]] = []

    @property
    def has_subscribers(self) -> bool:
        return bool(self._subscribers)

    def subscribe(self, callback: OnChange) -> None:
        """Call ``callback`` for each change from now on; it must not block."""
        self._subscribers.append(callback)

    def passes_on(self, arrived: Callable[[], Awaitable[None]]) -> None:
        """A subscriber passes changes on: ``arrived()`` returns once the far side has heard of all
        so far, or after a patience."""
        self._arrivals.append(arrived)

    async def arrived(self) -> None:
        """Return once all that was published has come to where subscribers pass it on: the kernel,
        for a mount."""
        for each in self._arrivals:
            await each()

    def publish(self, directory: Directory, names: Sequence[str]) -> None:
        """Call all subscribers; the log gets the exception of one that fails."""
        for callback in self._subscribers:
            try:
                callback(directory, names)
            except Exception:
                log.exception("a subscriber to changes failed for %r", directory.name)


def changed_names(old: Mapping[str, Child], new: Mapping[str, Child]) -> tuple[str, ...]:
    """Names that mean another node or none; then new names. 50 000 names take 0.1 s."""
    changed = [
        name
        for name, child in old.items()
        if name not in new or new[name].identity != child.identity
    ]
    return (*changed, *(name for name in new if name not in old))
