"""How far a buffer is filled, told across threads. Floor 1.

The curl thread tells with every chunk; waking the loop each time cost a second of CPU per GiB
(16 transfers in chunks of 64 KiB). So it leaves the number where the loop can read it, and wakes
the loop only when somebody waits for what has come.
"""

from __future__ import annotations

from collections.abc import Callable

NOBODY = 1 << 62
"""``wanted`` while nobody waits."""


class Progress:
    """The first ``filled`` bytes are valid. ``put`` from any thread, the rest on the loop.

    A waiter sets ``wanted`` and looks at ``filled`` once more before it parks, so whichever of the
    two threads comes second sees the other (both are single attribute writes under the GIL).
    """

    __slots__ = ("_base", "_on_want", "_parent", "filled", "wanted")

    def __init__(self, parent: Progress | None = None, base: int = 0) -> None:
        self.filled = 0
        self.wanted = NOBODY
        self._parent = parent
        self._base = base
        self._on_want: Callable[[int], None] | None = None

    def want(self, filled: int) -> None:
        """Somebody is about to wait for so much: he is woken (once) when it is there."""
        if filled < self.wanted:
            self.wanted = filled
            if self._on_want is not None:
                self._on_want(filled)

    def watch(self, on_want: Callable[[int], None] | None) -> None:
        """For one who fills it from far away, and has to be told what is waited for. None ends."""
        if self._parent is not None:
            base = self._base
            above = None if on_want is None else lambda filled: on_want(filled - base)
            self._parent.watch(above)
            return
        self._on_want = on_want
        if on_want is not None and self.wanted < NOBODY:
            on_want(self.wanted)

    def put(self, filled: int) -> bool:
        """Tell; whether somebody is to be woken. Never goes back: the last word of a transfer that
        was given up may come after the first of the one that replaced it."""
        self.filled = max(self.filled, filled)
        if self._parent is not None:
            return self._parent.put(self._base + filled)
        return filled >= self.wanted

    def wake(self) -> None:
        """Somebody waits for what has come."""
        if self._parent is not None:
            self._parent.wake()


class Told(Progress):
    """Progress for a plain function, which is called with every batch."""

    __slots__ = ("_tell",)

    def __init__(self, tell: Callable[[int], None]) -> None:
        super().__init__()
        self._tell = tell

    def put(self, filled: int) -> bool:
        self.filled = filled
        return True

    def wake(self) -> None:
        self._tell(self.filled)


AnyProgress = Progress | Callable[[int], None]


def as_progress(progress: AnyProgress) -> Progress:
    """A Progress, made around a function where it is one."""
    return progress if isinstance(progress, Progress) else Told(progress)
