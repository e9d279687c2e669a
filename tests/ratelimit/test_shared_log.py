"""Processes of a client id share one log of calls, as long as its disk works."""

from __future__ import annotations

import logging
import struct
import threading
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from dmfs.ratelimit import shared_log
from dmfs.ratelimit.limits import MARGIN_S, Priority, Rate
from dmfs.ratelimit.shared_log import FileRateLog, Window, _decode, _encode
from dmfs.system import disk_health
from tests.support.helpers import real

RATE = Rate(10, 10.0)


@real
async def test_two_processes_share_one_log(tmp_path):
    now = 1000.0
    one, two = (FileRateLog(tmp_path, "app", clock=lambda: now) for _ in range(2))
    other = FileRateLog(tmp_path, "another app", clock=lambda: now)
    for number in range(10):
        assert await (one, two)[number % 2].take("contents", RATE, Priority.LOOKUP) == 0
    assert await one.take("contents", RATE, Priority.LOOKUP) == RATE.span_s
    assert await two.take("contents", RATE, Priority.LOOKUP) == RATE.window_s + MARGIN_S
    assert await two.take("hubs", RATE, Priority.LOOKUP) == 0
    assert await other.take("contents", RATE, Priority.LOOKUP) == 0
    now += RATE.span_s + 0.1
    two.back_off("contents", 7.0)
    assert await two.take("contents", RATE, Priority.LOOKUP) == pytest.approx(7.0)
    assert await one.take("contents", RATE, Priority.LOOKUP) == pytest.approx(7.0)
    now = 5.0  # a reboot: what is in the future means nothing
    for path in tmp_path.rglob("contents"):
        assert path.stat().st_mode & 0o077 == 0
    assert await one.take("hubs", RATE, Priority.LOOKUP) == 0


@real
async def test_without_a_rate_the_log_is_only_read_for_back_offs_of_others(tmp_path, monkeypatch):
    now = 1000.0
    one, two = (FileRateLog(tmp_path, "app", clock=lambda: now) for _ in range(2))
    looks: list[str] = []
    look = shared_log._take

    def counted(path, *rest):
        looks.append(path.name)
        return look(path, *rest)

    monkeypatch.setattr(shared_log, "_take", counted)
    for _ in range(5):
        assert await one.take("oss", None, Priority.READ) == 0
    assert looks == ["oss"]
    one.back_off("oss", 5.0)  # its own counts at once
    assert await one.take("oss", None, Priority.READ) == pytest.approx(5.0)
    assert await one.take("oss", None, Priority.READ) == pytest.approx(5.0)
    now += 6.0
    assert await one.take("oss", None, Priority.READ) == 0
    two.back_off("oss", 7.0)
    assert await two.take("oss", None, Priority.READ) == pytest.approx(7.0)
    monkeypatch.setattr(shared_log, "RECHECK_S", 0.0)
    one._quotas["oss"].free_until = 0.0
    assert await one.take("oss", None, Priority.READ) == pytest.approx(7.0)


@real
async def test_a_damaged_log_is_an_empty_one(tmp_path):
    rate_log = FileRateLog(tmp_path, "app")
    assert await rate_log.take("contents", RATE, Priority.LOOKUP) == 0
    for junk in (b"", b"x", b"\xff" * 100, b"dmfsbud1" + b"\xff" * 800):
        next(tmp_path.rglob("contents")).write_bytes(junk)
        assert await rate_log.take("contents", RATE, Priority.LOOKUP) == 0


class Disk:
    """Two processes' logs over one directory that can be taken away, with a clock set by hand."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "budget"
        self.now = 1000.0
        self.one, self.two = (
            FileRateLog(directory, "app", clock=lambda: self.now) for _ in range(2)
        )

    def away(self) -> None:
        if self.path.exists():
            self.path.rename(self.path.with_name("elsewhere"))
        self.path.write_text("in the way")

    def back(self) -> None:
        self.path.unlink()
        elsewhere = self.path.with_name("elsewhere")
        if elsewhere.exists():
            elsewhere.rename(self.path)


async def taken(rate_log: FileRateLog, calls: int) -> int:
    """Of so many calls, those let through."""
    waits = [await rate_log.take("contents", RATE, Priority.LOOKUP) for _ in range(calls)]
    return waits.count(0)


def by_hand(test):
    """Run in time that passes only when the test says so: threads take none."""

    def run(tmp_path, caplog):
        clock = MockClock()
        trio.run(test, Disk(tmp_path), clock, caplog, clock=clock)

    return run


@by_hand
async def test_calls_made_without_the_disk_are_shared_when_it_is_back(disk, clock, caplog):
    assert await taken(disk.one, 2) == 2
    assert await taken(disk.two, 2) == 2
    disk.away()
    assert await taken(disk.one, 2) == 2, "calls go on"
    clock.jump(disk_health.PAUSE_S)
    assert await taken(disk.one, 1) == 1, "tried again, in vain"
    disk.back()
    assert await taken(disk.one, 1) == 1, "the pause: still alone"
    assert await taken(disk.two, 1) == 1, "which another process does not know of"
    clock.jump(disk_health.PAUSE_S)
    assert await taken(disk.one, 1) == 1, "the tenth"
    assert disk.one.gauges() == {"ratelimit.calls_alone": 4}
    for rate_log in (disk.one, disk.two):
        assert await taken(rate_log, 1) == 0, "the limit is that of both together"
    disk.now += RATE.span_s + 0.1
    assert sum([await taken(disk.one, 1) + await taken(disk.two, 1) for _ in range(20)]) == 10


@by_hand
async def test_a_process_alone_goes_on_from_what_it_knew_of_the_others(disk, clock, caplog):
    assert await taken(disk.two, 6) == 6
    assert await taken(disk.one, 1) == 1
    disk.away()
    assert await taken(disk.one, 20) == 3
    disk.now += RATE.span_s + 0.1
    assert await taken(disk.one, 20) == 10, "and forgets them in time"


@by_hand
async def test_a_back_off_without_the_disk_counts_and_is_shared_later(disk, clock, caplog):
    disk.away()
    disk.one.back_off("contents", 60.0)
    assert await disk.one.take("contents", RATE, Priority.LOOKUP) == pytest.approx(60.0)
    disk.back()
    clock.jump(disk_health.PAUSE_S)
    assert await disk.one.take("contents", RATE, Priority.LOOKUP) == pytest.approx(60.0)
    assert await disk.two.take("contents", RATE, Priority.LOOKUP) == pytest.approx(60.0)


@by_hand
async def test_a_disk_that_fails_for_long_is_tried_again_and_warned_of_once_a_minute(
    disk, clock, caplog
):
    caplog.set_level(logging.INFO)
    disk.away()
    tries = 0
    take = shared_log._take

    def counted(*args):
        nonlocal tries
        tries += 1
        return take(*args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shared_log, "_take", counted)
        for _ in range(60):
            disk.now += 1
            clock.jump(1.0)
            await taken(disk.one, 1)
    assert tries == 60 / disk_health.PAUSE_S
    warnings = [record for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 1
    assert "not counted together" in warnings[0].getMessage()


@real
async def test_a_disk_that_hangs_delays_a_call_by_its_patience_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(shared_log, "DISK_PATIENCE_S", 0.1)
    rate_log = FileRateLog(tmp_path, "app")
    release = threading.Event()
    in_disk = 0

    def hang(*_):
        nonlocal in_disk
        in_disk += 1
        release.wait(20)
        raise OSError("it came back")

    monkeypatch.setattr(shared_log, "_take", hang)
    assert await taken(rate_log, 11) == 10, "alone"
    assert in_disk == 1, "the others did not even try"
    release.set()


@by_hand
async def test_a_task_that_is_cancelled_while_it_waits_loses_no_call_of_others(disk, clock, caplog):
    disk.away()
    assert await taken(disk.one, 4) == 4
    disk.back()
    clock.jump(disk_health.PAUSE_S)
    with trio.CancelScope() as scope:
        scope.cancel()
        await taken(disk.one, 1)
    await taken(disk.one, 1)
    assert 4 <= await taken(disk.two, 20) <= 5


def test_one_bad_number_costs_only_itself() -> None:
    for bad in (float("nan"), -1.0, 1e300, float("inf")):
        raw = _encode(Window(7.0, [1.0, 2.0, 3.0]))
        spoilt = raw[:24] + struct.pack("<d", bad) + raw[32:]
        found = _decode(spoilt)
        assert found.calls == [1.0, 3.0]
        assert found.blocked_until == 7.0
        assert _decode(raw[:8] + struct.pack("<d", bad) + raw[16:]).calls == [1.0, 2.0, 3.0]
