"""Which calls are not worth a deadline: what stalled a moment ago is refused or gets a short wait.

``stall_memory`` decides; here are the clock, the errors and the probes in the background.
A call that is refused costs the caller nothing: an old listing is served at once, a walk over a
hundred stalled folders takes two deadlines instead of a hundred.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import trio

from dmfs.errors import StalledError
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import current_priority
from dmfs.ratelimit.stall_memory import PARTS_MAX, StallMemory, Stretch

log = logging.getLogger(__name__)

BLAME_SHARE = 0.5
"""A call is blamed if it was silent for this part of the time that it had: the rest may have passed
in the limiter's queue, which is nobody's stall."""
BLAME_MIN_S = 0.5
"""Less is what an earlier call of the same request left over."""
BLAME_S = 14.0
"""… or for so long: deadlines may be an hour."""
PROBES_AT_ONCE = 4
PROBE_S = 30.0
"""Nobody waits for a probe in the background: a stretch that is slow but alive must get through."""

Probe = Callable[[], Awaitable[bool]]
"""Asks the same again, without any use for the answer. Returns whether one came."""


class StallGate:
    """``watch`` each call; ``run`` for as long as the calls' owner lives."""

    def __init__(self) -> None:
        self._memory = StallMemory()
        self._probes: OrderedDict[Stretch, Probe] = OrderedDict()
        self._under_way: set[Stretch] = set()
        self._changed = trio.Event()
        self._refused = self._probed = self._ended = 0

    @contextmanager
    def watch(self, stretch: Stretch, action: str, probe: Probe) -> Iterator[Watch]:
        """Wrap a call with all its tries. StalledError at once if the stretch stalled lately."""
        level = current_priority().level
        verdict = self._memory.blocked(
            stretch,
            trio.current_time(),
            may_probe=level is not Priority.AHEAD,
            patient=level is Priority.POLL,
        )
        if verdict.refused:
            self._refused += 1
            if level < Priority.AHEAD:
                self._remember(stretch, probe)  # it may have a newer token
            raise _stalled(action, verdict.again_s)
        watch = Watch(self._memory, stretch, action, verdict.wait_s)
        try:
            yield watch
        finally:
            if watch.is_stall():
                self._memory.timed_out(stretch, trio.current_time())
                self._remember(stretch, probe)
            elif watch.has_answered:
                self._probes.pop(stretch, None)
            self._ended += watch.ended_refusal

    def clear(self) -> None:
        """Forget all stalls: the network is back, or is another one."""
        self._memory.clear()
        self._probes.clear()

    def gauges(self) -> dict[str, int]:
        """Calls refused without a request, probes in the background, and refusals that an answer
        ended; stretches that stall now."""
        return {
            "stalls.refused": self._refused,
            "stalls.probed": self._probed,
            "stalls.ended": self._ended,
            "stalls.known": len(self._memory),
        }

    async def run(self) -> None:
        """Probe in the background what stalls, for ever."""
        async with trio.open_nursery() as nursery:
            while True:
                self._changed = trio.Event()
                now = trio.current_time()
                free = len(self._under_way) < PROBES_AT_ONCE
                stretch = self._memory.due(now) if free else None
                if stretch is None:
                    wake_at = self._memory.next_due_at(now) if free else float("inf")
                    with trio.CancelScope(deadline=max(wake_at, now + 0.01)):
                        await self._changed.wait()
                elif stretch in self._probes and stretch not in self._under_way:
                    self._under_way.add(stretch)
                    nursery.start_soon(self._probe, stretch, self._probes[stretch])

    async def _probe(self, stretch: Stretch, probe: Probe) -> None:
        began = trio.current_time()
        self._probed += 1
        try:
            with trio.move_on_after(PROBE_S):
                if await probe():
                    now = trio.current_time()
                    self._ended += self._memory.answered(stretch, now, now - began)
                    self._probes.pop(stretch, None)
        except Exception:
            log.exception("a probe of %s failed", stretch.group)
        finally:
            self._under_way.discard(stretch)
            self._changed.set()

    def _remember(self, stretch: Stretch, probe: Probe) -> None:
        self._probes[stretch] = probe
        self._probes.move_to_end(stretch)
        while len(self._probes) > PARTS_MAX:
            self._probes.popitem(last=False)
        self._changed.set()


class Watch:
    """One call, with all its tries."""

    def __init__(
        self, memory: StallMemory, stretch: Stretch, action: str, wait_s: float | None
    ) -> None:
        self._memory = memory
        self._stretch = stretch
        self._action = action
        self._wait_s = float("inf") if wait_s is None else wait_s
        self._deadline_at = trio.current_effective_deadline()
        self._began = trio.current_time()
        self._silent_s = 0.0
        self._out_of_time = False
        self.has_answered = False
        self.ended_refusal = False

    @contextmanager
    def sending(self) -> Iterator[None]:
        """Wrap one try. StalledError after the short wait of a stretch that stalled lately."""
        sent_at = trio.current_time()
        answered, self.has_answered = self.has_answered, False
        with trio.move_on_after(self._wait_s) as scope:
            try:
                yield
            finally:
                if not self.has_answered:
                    self.has_answered = answered
                    self._silent_s += trio.current_time() - sent_at
        if scope.cancelled_caught:
            self._out_of_time = True
            raise _stalled(self._action, self._wait_s)

    def answered(self, took_s: float) -> None:
        """Within ``sending``: an answer came, whatever it says."""
        self.has_answered = True
        self._silent_s = 0.0
        self.ended_refusal |= self._memory.answered(self._stretch, trio.current_time(), took_s)

    def is_stall(self) -> bool:
        """At the end: whether its time passed without an answer."""
        if self._out_of_time or self._silent_s >= BLAME_S:
            return True
        had_s = self._deadline_at - self._began
        over = trio.current_time() >= self._deadline_at
        return over and self._silent_s >= max(BLAME_SHARE * had_s, BLAME_MIN_S)


def _stalled(action: str, again_s: float) -> StalledError:
    error = StalledError(
        f"cannot {action}: it does not answer, and is not waited for again",
        hint=f"it is looked at again in {max(again_s, 1):.0f} s",
    )
    error.retry_after_s = max(again_s, 0.0)
    return error
