"""The words that ``systemctl status`` shows."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.telemetry.sentence import sentence
from tests.telemetry.test_metrics import JSON, STATUS

NOW = datetime(2026, 11, 29, 12, 30, tzinfo=timezone(timedelta(hours=2)))


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({}, "online"),
        ({"state": "online", "since": "2026-11-29T10:02:00Z"}, "online"),
        ({"state": "online", "open_files": 1}, "online; 1 file open"),
        (
            {"open_files": 12, "quotas": [{"name": "contents", "used": 291, "limit": 300}]},
            "online; 12 files open; contents 291 of 300 calls",
        ),
        ({"quotas": [{"name": "contents", "used": 200, "limit": 300}]}, "online"),
        ({"quotas": [{"name": "oss", "used": 5, "limit": None}]}, "online"),
        (
            {"quotas": [{"name": "oss", "used": 5, "limit": 9, "held_for_s": 41.2}]},
            "online; oss calls are held for 41 s",
        ),
        ({"state": "offline", "since": "2026-11-29T08:02:00Z"}, "offline since 10:02"),
        (
            {"state": "offline", "since": "2026-11-27T08:02:00Z", "open_files": 2},
            "offline since 27 Nov 10:02; 2 files open",
        ),
        ({"state": "offline", "since": NOW.timestamp() - 60}, "offline since 12:29"),
        ({"state": "offline_forced"}, "offline as asked for"),
        ({"state": "offline", "since": "soon"}, "offline"),
        ({"state": "signed_out"}, "signed out: run dmfs login"),
        ({"requests": {"waiting": 3, "oldest_s": 4.9}}, "online"),
        (
            {"requests": {"waiting": 3, "oldest_s": 5.1}},
            "online; 3 requests wait, the oldest for seconds",
        ),
        (
            {"requests": {"waiting": 1, "oldest_s": 150.0}},
            "online; 1 request waits, the oldest for 2 min",
        ),
        ({"pins": {"done": 3, "total": 10}}, "online; 3 of 10 pinned files are here"),
        ({"pins": {"done": 10, "total": 10}}, "online"),
        (
            {"pins": {"done": 9, "total": 10, "failed": 1}},
            "online; 9 of 10 pinned files are here; 1 cannot be fetched",
        ),
        ({"writing": {"waiting": 0, "uploading": 0, "failed": 0, "conflicts": 0}}, "online"),
        ({"writing": None}, "online"),
        ({"writing": {"waiting": 1, "uploading": 2}}, "online; 3 files wait to go up"),
        (
            {"writing": {"waiting": 1, "failed": 2, "conflicts": 1}},
            (
                "online; 1 file waits to go up; 2 could not go up: run dmfs uploads;"
                " 1 in conflict: run dmfs uploads"
            ),
        ),
    ],
)  # fmt: skip
def test_a_state_is_told_in_words(status: dict[str, Any], words: str) -> None:
    assert sentence(status, NOW) == words


@given(st.fixed_dictionaries({"since": JSON, "state": st.sampled_from(["online", "offline"])}))
def test_a_time_that_is_none_is_left_out(status: dict[str, Any]) -> None:
    assert sentence(STATUS | status, NOW).startswith(status["state"])
