"""How far a buffer is filled, across threads and processes.

Whoever fills it sets the number with every chunk (libcurl's have 16 KiB at most); waking the loop
each time cost a second of CPU per GiB. So the loop reads the number where it stands, and is woken
only when a reader waits for what has come.
"""

from __future__ import annotations

from collections.abc import Callable

NOTHING = 1 << 62
"""``wanted`` while no reader waits."""


class Progress:
    """The first ``filled`` bytes are valid. ``put`` from any thread, the rest on the loop.

    A waiter sets ``wanted`` and looks at ``filled`` once more before it parks, so whichever of the
    two threads comes second sees the other (both are single attribute writes under the GIL).
    Another process is told of ``wanted`` by a message, and compares it itself.
    """

    __slots__ = ("_base", "_on_want", "_parent", "_position", "filled", "wanted")

    def __init__(self, parent: Progress | None = None, base: int = 0) -> None:
        self.filled = 0
        self.wanted = NOTHING
        self._parent = parent
        self._base = base
        self._on_want: Callable[[int], None] | None = None
        self._position: Callable[[], int] | None = None

    def want(self, filled: int) -> None:
        """A reader is about to wait for so much; it is woken once when that is there."""
        if filled < self.wanted:
            self.wanted = filled
            if self._on_want is not None:
                self._on_want(filled)

    def subscribe(self, on_want: Callable[[int], None] | None) -> None:
        """Call ``on_want`` with each amount that a reader waits for; for another process that fills
        the buffer. None ends it."""
        if self._parent is not None:
            base = self._base
            above = None if on_want is None else lambda filled: on_want(filled - base)
            self._parent.subscribe(above)
            return
        self._on_want = on_want
        if on_want is not None and self.wanted < NOTHING:
            on_want(self.wanted)

    def follow(self, position: Callable[[], int] | None) -> None:
        """``look`` asks ``position`` from now on: another process fills the buffer, and writes down
        how far. None ends it."""
        self._position = position
        if self._parent is not None:
            self._parent.follow(None if position is None else self._position_in_parent)

    def look(self) -> int:
        """``filled``, as it is now."""
        if self._position is not None:
            self.filled = max(self.filled, self._position())
        return self.filled

    def _position_in_parent(self) -> int:
        return self._base + self.look()

    def put(self, filled: int) -> bool:
        """Set the number; whether a reader is to be woken. It never goes back: the last report of a
        transfer that was given up may come after the first of the one that replaced it."""
        self.filled = max(self.filled, filled)
        if self._parent is not None:
            return self._parent.put(self._base + filled)
        return filled >= self.wanted

    def wake(self) -> None:
        """Wake the readers that wait for what has come."""
        if self._parent is not None:
            self._parent.wake()
