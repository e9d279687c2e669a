"""The report on SIGUSR2 and the lines of failed requests."""

from __future__ import annotations

import logging
import re

import pytest
import trio

from dmfs.errors import DriveError
from dmfs.telemetry import access_log
from dmfs.telemetry.access_log import LINES_AT_ONCE, LINES_PER_S, AccessRecord, LogRateLimit
from dmfs.telemetry.processes import Process
from dmfs.telemetry.stack_report import report
from tests.support.helpers import real, virtual


@real
async def test_a_report_has_a_line_for_each_gauge_sorted_and_then_the_tasks() -> None:
    lines = report({"listings.misses": 3, "files": 0})
    gauges = [line for line in lines if line.startswith("gauge ")]
    assert lines[: len(gauges)] == gauges == sorted(gauges)
    found = dict(line.removeprefix("gauge ").split("=") for line in gauges)
    assert (found["listings.misses"], found["files"]) == ("3", "0")
    assert int(found["rss_bytes"]) > 1 << 20
    assert lines[len(gauges)].startswith("task <init>")
    assert any(re.search(r"main:\d+", line) for line in lines)


def test_a_log_takes_a_burst_of_lines_and_then_some_a_second() -> None:
    limit = LogRateLimit()
    assert sum(limit.allow(0.0) for _ in range(1000)) == LINES_AT_ONCE
    assert limit.skipped == 1000 - LINES_AT_ONCE
    assert sum(limit.allow(10.0) for _ in range(1000)) == 10 * LINES_PER_S


@virtual
async def test_a_failed_request_says_how_many_lines_were_skipped(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(access_log, "_failure_limit", LogRateLimit())
        with caplog.at_level(logging.WARNING, logger="dmfs.failed"):
            for _ in range(LINES_AT_ONCE + 5):
                AccessRecord("lookup", Process(7, "rsync")).failed(
                    DriveError("down"), logging.WARNING
                )
            await trio.sleep(1)
            AccessRecord("lookup", Process(7, "rsync")).failed(DriveError("down"), logging.WARNING)
    assert len(caplog.records) == LINES_AT_ONCE + 1
    assert "(and 5 more failed requests)" in caplog.records[-1].getMessage()
