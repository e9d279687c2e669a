"""One warning, a pause, and back again: a disk that cannot be written to is still read from."""

from __future__ import annotations

import logging

import pytest
import trio

from dmfs.system.disk_health import PAUSE_S, WARN_AGAIN_S, DiskHealth
from tests.support.helpers import virtual

BAD = OSError(5, "I/O error")


def health() -> DiskHealth:
    return DiskHealth(logging.getLogger("dmfs.test"), "the disk", "going on without it")


def warnings(caplog: pytest.LogCaptureFixture) -> int:
    return sum(record.levelno == logging.WARNING for record in caplog.records)


@virtual
async def test_a_failed_write_stops_writes_a_failed_read_stops_both() -> None:
    full, dead = health(), health()
    full.failed("write", BAD)
    dead.failed("read", BAD)
    assert (full.usable("read"), full.usable("write")) == (True, False)
    assert (dead.usable("read"), dead.usable("write")) == (False, False)
    await trio.sleep(PAUSE_S)
    assert full.usable("write")
    assert dead.usable("read")
    assert dead.usable("write")


@virtual
async def test_one_warning_until_it_works_again(caplog: pytest.LogCaptureFixture) -> None:
    disk = health()
    for _ in range(100):
        disk.failed("write", BAD)
        disk.worked("read")  # which says nothing of writes
        await trio.sleep(WARN_AGAIN_S)
    assert warnings(caplog) == 1
    disk.worked("write")
    disk.failed("read", BAD)
    assert warnings(caplog) == 2


@virtual
async def test_a_disk_with_bad_sectors_warns_once_a_minute(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk = health()
    for _ in range(50):
        disk.failed("read", BAD)
        disk.worked("read")
        await trio.sleep(WARN_AGAIN_S / 25)
    assert warnings(caplog) == 2
