"""Deadlines: the one way in which slowness becomes DeadlineError. Floor 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio

from dmfs.errors import DeadlineError


@contextmanager
def deadline(seconds: float, what: str) -> Iterator[None]:
    """Give the body that long; DeadlineError after. Outer deadlines, cancellation pass through."""
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise DeadlineError(f"cannot {what}: no answer within {seconds:g} s")
