"""Looks at the status of a mount now and then, and lets a service manager and a person know."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import trio

from dmfs.telemetry.notices import Memory, Notice, notices
from dmfs.telemetry.sentence import sentence

log = logging.getLogger(__name__)

LOOK_S = 10.0
Status = Callable[[], Awaitable[Mapping[str, Any]]]


async def watch(
    status: Status,
    mountpoint: str,
    *,
    now: Callable[[], datetime],
    on_sentence: Callable[[str], None],
    on_notice: Callable[[Notice], Awaitable[None]] | None,
) -> None:
    """Each LOOK_S, until cancelled: ``on_sentence`` with words that changed, ``on_notice`` with
    what begins. Both must not wait for long; nothing that goes wrong here ends the drive."""
    memory, words = Memory(), ""
    while True:
        await trio.sleep(LOOK_S)
        try:
            with trio.fail_after(LOOK_S):
                found = await status()
            if (new := sentence(found, now())) != words:
                words = new
                on_sentence(words)
            if on_notice is not None:
                memory, begun = notices(memory, found, trio.current_time(), mountpoint)
                for notice in begun:
                    await on_notice(notice)
        except Exception:
            log.exception("bug in the watch over the drive")


async def beat(period_s: float, send: Callable[[], None]) -> None:
    """``send`` twice a period, for ever: as long as the event loop turns, and no longer."""
    while True:
        send()
        await trio.sleep(period_s / 2)
