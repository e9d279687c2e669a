"""Notices that the machine was suspended: trio's clock stood still, the boot clock went on."""

from __future__ import annotations

from collections.abc import Callable

import trio

from dmfs.system.clock import boot_time_s

TICK_S = 2.0
JUMP_S = 5.0
"""A smaller jump is a busy machine."""


async def watch_suspend(on_wake: Callable[[float], None]) -> None:
    """Call ``on_wake`` with the seconds of each suspension, for ever."""
    offset_s = boot_time_s() - trio.current_time()
    while True:
        await trio.sleep(TICK_S)
        now_s = boot_time_s() - trio.current_time()
        if now_s - offset_s > JUMP_S:
            on_wake(now_s - offset_s)
        offset_s = now_s
