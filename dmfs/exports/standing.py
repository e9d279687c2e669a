"""What pins want exported: each new version of the designs below a folder, kept in the drive."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import trio

from dmfs.errors import DriveError
from dmfs.exports.exports import Exports
from dmfs.exports.records import Key, key_of
from dmfs.exports.steps import Wish
from dmfs.model import Shortcut
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import RequestPriority, at_priority
from dmfs.system.backoff import Cooldown
from dmfs.system.clock import wall_time_s

log = logging.getLogger(__name__)

AT_ONCE = 256
"""Tasks that sleep most of the time."""
RETRY_FIRST_S, RETRY_MAX_S = 5.0, 300.0
"""After a failure; what a job said of a design stands for a day all the same (``steps``)."""

Wanted = Mapping[int, tuple[str, Sequence[Shortcut]]]
"""By the number of a pin: a format, and the designs below it."""


class Standing(NamedTuple):
    """How far one pin's designs are."""

    designs: int = 0
    done: int = 0
    bytes: int = 0
    """Of those that are done."""
    error: str = ""
    """Of one that failed; '' while none did."""


class _Failed(NamedTuple):
    error: str
    failures: int
    pause: Cooldown


class StandingOrders:
    """``see`` what is wanted now; it is worked at until the nursery ends."""

    def __init__(self, exports: Exports, nursery: trio.Nursery) -> None:
        self._exports = exports
        self._nursery = nursery
        self._slots = trio.CapacityLimiter(AT_ONCE)
        self._by_pin: dict[int, list[Key]] = {}
        self._under_way: set[Key] = set()
        self._failed: dict[Key, _Failed] = {}
        self._left_out: set[Key] = set()
        """Those that the service does not make in this format."""
        self._news = False

    def see(self, wanted: Wanted) -> None:
        """Order what nobody has, and forget what is wanted no more."""
        self._news = False
        self._by_pin = {}
        for pin_id, (file_type, designs) in wanted.items():
            keys = self._by_pin[pin_id] = []
            for design in designs:
                key = key_of(design, file_type)
                keys.append(key)
                if self._may_begin(key):
                    self._under_way.add(key)
                    self._nursery.start_soon(self._one, design, key)
        known = {key for keys in self._by_pin.values() for key in keys}
        self._left_out &= known
        self._failed = {key: each for key, each in self._failed.items() if key in known}

    def _may_begin(self, key: Key) -> bool:
        if key in self._under_way or key in self._left_out or self._exports.shown(key):
            return False
        failed = self._failed.get(key)
        return failed is None or failed.pause.is_over

    def of(self, pin_id: int) -> Standing:
        """How far a pin is."""
        keys = [each for each in self._by_pin.get(pin_id, ()) if each not in self._left_out]
        done = [shown for each in keys if (shown := self._exports.shown(each)) is not None]
        failed = [self._failed[each].error for each in keys if each in self._failed]
        size_bytes = sum(each.size_bytes or 0 for each in done)
        return Standing(len(keys), len(done), size_bytes, failed[0] if failed else "")

    def is_due(self) -> bool:
        """Whether there is news to tell, or something that failed may be tried again."""
        return self._news or any(each.pause.is_over for each in self._failed.values())

    async def _one(self, design: Shortcut, key: Key) -> None:
        try:
            async with self._slots:
                with at_priority(RequestPriority(Priority.WRITE)):
                    await self._keep(design, key)
        except DriveError as error:
            before = self._failed.get(key)
            failures = 1 if before is None else before.failures + 1
            pause = Cooldown(min(RETRY_FIRST_S * 2 ** min(failures - 1, 10), RETRY_MAX_S))
            pause.start()
            self._failed[key] = _Failed(error.message, failures, pause)
            if before is None or before.error != error.message:
                log.info("%r as %s: %s", design.name, key.format, error.message)
        else:
            self._failed.pop(key, None)
        finally:
            self._under_way.discard(key)
            self._news = True

    async def _keep(self, design: Shortcut, key: Key) -> None:
        if key.format not in await self._exports.formats(design):
            self._left_out.add(key)
            return
        await self._exports.tools.require_orders()
        await self._exports.keep(design, key.format, Wish(wall_time_s(), by_pin=True))
