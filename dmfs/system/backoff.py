"""Waits before the next try: a growing one between tries, and a pause after a failure."""

from __future__ import annotations

import random

import trio

_random = random.Random()


def backoff_s(attempt: int, first_s: float, max_s: float) -> float:
    """Seconds to wait after try number ``attempt`` (from 1): doubled each time up to ``max_s``.

    Jitter removes up to a half of it, so that many callers do not retry together.
    """
    whole_s: float = min(first_s * 2 ** (attempt - 1), max_s)
    return whole_s * (0.5 + _random.random() / 2)


class Cooldown:
    """A pause after a failure; its owner does not try again before the end of the pause."""

    __slots__ = ("_until", "pause_s")

    def __init__(self, pause_s: float) -> None:
        self.pause_s = pause_s
        self._until = float("-inf")

    @property
    def is_over(self) -> bool:
        """Whether the next try may start; True before the first failure."""
        return trio.current_time() >= self._until

    @property
    def left_s(self) -> float:
        """Seconds until the end of the pause; 0 if it is over."""
        return max(0.0, self._until - trio.current_time())

    def start(self, pause_s: float | None = None) -> None:
        """Start a pause now, of ``pause_s`` if given instead of the usual length."""
        self._until = trio.current_time() + (self.pause_s if pause_s is None else pause_s)

    def end(self) -> None:
        """End the pause: a try succeeded."""
        self._until = float("-inf")
