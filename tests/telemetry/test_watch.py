"""The watch over a mount: when it speaks, and that it is never in the way. In virtual time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from typing import Any

import pytest
import trio

from dmfs.telemetry.notices import Notice
from dmfs.telemetry.watch import LOOK_S, beat, watch
from tests.support.helpers import virtual

NOON = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)


class Mount:
    """Has a status that the test changes, and remembers what was said of it when."""

    def __init__(self) -> None:
        self.status: Mapping[str, Any] = {"state": "online"}
        self.looks = 0
        self.words: list[tuple[float, str]] = []
        self.shown: list[tuple[float, str]] = []
        self.show_s = 0.0

    async def now(self) -> Mapping[str, Any]:
        self.looks += 1
        if self.status.get("hangs"):
            await trio.sleep_forever()
        if self.status.get("bug"):
            raise ValueError("a bug")
        return self.status

    async def show(self, notice: Notice) -> None:
        self.shown.append((trio.current_time(), notice.kind))
        await trio.sleep(self.show_s)

    def start(self, nursery: trio.Nursery, *, notify: bool = True) -> float:
        began = trio.current_time()
        nursery.start_soon(
            partial(
                watch, self.now, "/drive", now=lambda: NOON,
                on_sentence=lambda words: self.words.append((trio.current_time() - began, words)),
                on_notice=self.show if notify else None,
            )
        )  # fmt: skip
        return began


@virtual
async def test_a_sentence_is_sent_when_it_changed_and_at_most_each_ten_seconds() -> None:
    mount = Mount()
    async with trio.open_nursery() as nursery:
        mount.start(nursery)
        for second in range(600):
            mount.status = {"state": "online", "open_files": second if second < 300 else 0}
            await trio.sleep(1)
        nursery.cancel_scope.cancel()
    moments = [when for when, _ in mount.words]
    assert len(moments) in (30, 31)
    gaps = [later - sooner for sooner, later in pairwise(moments)]
    assert min(gaps) >= LOOK_S
    assert mount.words[-1][1] == "online"
    assert moments[-1] < 320, "the same words are not sent again"
    assert mount.looks <= 60


@virtual
async def test_nobody_is_notified_unless_it_was_asked_for() -> None:
    mount = Mount()
    mount.status = {"state": "signed_out"}
    async with trio.open_nursery() as nursery:
        mount.start(nursery, notify=False)
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert mount.shown == []
    assert [words for _, words in mount.words] == ["signed out: run dmfs login"]


@virtual
async def test_what_begins_is_shown_once() -> None:
    mount = Mount()
    async with trio.open_nursery() as nursery:
        mount.start(nursery)
        await trio.sleep(30)
        mount.status = {"state": "signed_out"}
        await trio.sleep(1000)
        nursery.cancel_scope.cancel()
    assert [kind for _, kind in mount.shown] == ["signed_out"]


@pytest.mark.parametrize("trouble", ["hangs", "bug"])
@virtual
async def test_a_status_that_fails_or_hangs_is_asked_again(
    trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    mount = Mount()
    async with trio.open_nursery() as nursery:
        mount.start(nursery)
        mount.status = {trouble: True}
        await trio.sleep(61)
        mount.status = {"state": "offline"}
        await trio.sleep(30)
        nursery.cancel_scope.cancel()
    assert [words for _, words in mount.words] == ["offline"]
    assert len([each for each in caplog.records if "the watch" in each.message]) == 1


@virtual
async def test_a_notification_that_takes_long_delays_the_next_look_and_nothing_else() -> None:
    mount = Mount()
    mount.show_s = 100.0
    mount.status = {"state": "signed_out"}
    async with trio.open_nursery() as nursery:
        mount.start(nursery)
        await trio.sleep(300)
        nursery.cancel_scope.cancel()
    assert len(mount.shown) == 1
    assert mount.looks > 10


@virtual
async def test_a_watchdog_gets_two_beats_a_period() -> None:
    beats: list[float] = []
    with trio.move_on_after(601):
        await beat(60.0, lambda: beats.append(trio.current_time()))
    assert len(beats) == 21
