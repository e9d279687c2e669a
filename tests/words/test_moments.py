"""Moments as people write them, against datetime alone."""

from __future__ import annotations

import string
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dmfs.errors import UsageError
from dmfs.grammar.moments import (
    SECOND_NS,
    day_ns,
    midnights_ns,
    moment_ns,
    past_path,
    snapshot_name,
    snapshot_ns,
    written_ns,
)

DAY_NS = 86400 * SECOND_NS
NOW = datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC)
NOW_NS = 1_790_000_000 * SECOND_NS
ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda each: timezone(timedelta(minutes=each)))
MOMENTS = st.datetimes(
    datetime.fromisoformat("0001-01-03"), datetime.fromisoformat("9999-12-29"), timezones=ZONES
).map(lambda each: each.replace(microsecond=0))


def ns(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(seconds=1) * SECOND_NS


@given(MOMENTS)
@example(datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC))
@example(datetime(9999, 12, 29, 23, 59, tzinfo=timezone(timedelta(hours=-23, minutes=-59))))
def test_a_moment_with_its_zone(moment: datetime) -> None:
    text = moment.isoformat()
    assert written_ns(text) == ns(moment)
    assert written_ns(text.replace("T", " ")) == ns(moment)
    sign = text[-6:]
    assert written_ns(text[:-6] + sign.replace(":", "")) == ns(moment)
    minute = moment.replace(second=0)
    assert written_ns(minute.isoformat()[:16] + sign) == ns(minute)
    utc = moment.astimezone(UTC).isoformat()[:-6]
    assert written_ns(utc + "Z") == written_ns(utc) == ns(moment)


@given(st.dates(max_value=date(9999, 12, 30)))
@example(date(2024, 2, 29))
@example(date(2000, 1, 1))
def test_a_day_is_its_end(day: date) -> None:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1)
    assert written_ns(day.isoformat()) == ns(midnight)


@given(st.one_of(st.text(max_size=30), st.text(string.digits + "-:TZ+ @.v", max_size=26)))
@example("9999-12-31")
@example("0000-01-01")
@example("0001-01-01T00:00+23:59")
@example("2023-02-29")
@example("2024-05-01T24:00Z")
@example("2024-05-01T09:60Z")
@example("2024-05-01T09:30:60Z")
@example("2024-05-01T09:30+24:00")
@example("2024-05-01T09:30-00:60")
@example("٢٠٢٤-05-01")
@example("2024-05-01\n")
@example("\ud800")
def test_any_other_text_is_none(text: str) -> None:
    found = written_ns(text)
    try:
        expected = datetime.fromisoformat(text)
    except ValueError:
        assert found is None or len(text) > 10
        return
    if found is not None and len(text) > 10:
        assert found == ns(expected if expected.tzinfo else expected.replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90m", 5400), ("12h", 43200), ("7d", 604800), ("2w", 1209600), ("0d", 0), (" 7 d ", 604800)],
)
def test_so_long_ago(text: str, seconds: int) -> None:
    assert moment_ns(text, NOW_NS + 5) == NOW_NS - seconds * SECOND_NS


@given(st.integers(0, (NOW_NS - ns(datetime(2000, 1, 1, tzinfo=UTC))) // SECOND_NS))
def test_what_was_is_that_moment(seconds: int) -> None:
    moment = NOW - timedelta(seconds=seconds)
    assert moment_ns(moment.isoformat(), NOW_NS) == ns(moment)
    assert day_ns(moment.isoformat(), NOW_NS) == ns(moment)


def test_today_is_now_and_in_a_name_its_end() -> None:
    assert moment_ns("2026-09-21", NOW_NS) == NOW_NS
    assert day_ns("2026-09-21", NOW_NS) == ns(datetime(2026, 9, 22, tzinfo=UTC))
    assert moment_ns("2026-09-20", NOW_NS) == ns(datetime(2026, 9, 21, tzinfo=UTC))


@pytest.mark.parametrize(
    ("text", "words"),
    [("2026-09-22", "future"), ("2026-09-21T14:14Z", "future"), ("2099-01-01", "future"),
     ("2026-09-21T15:00+00:30", "future"),
     ("1999-12-30", "before the service"), ("999999w", "before the service"),
     ("yesterday", "no moment"), ("", "no moment"), ("2024-02-30", "no moment"),
     ("9999-12-31", "no moment"), ("7", "no moment"), ("-7d", "no moment"), ("@v3", "no moment")],
)  # fmt: skip
def test_what_is_no_moment_of_the_past_says_why(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        moment_ns(text, NOW_NS)
    assert words in caught.value.message
    assert "2024-05-01" in (caught.value.hint or "")
    assert day_ns(text, NOW_NS) is None or words == "before the service"


@given(st.text(string.digits + "@GMT-.", max_size=26))
@example("@GMT-2024.05.01-00.00.00")
@example("@GMT-2024.02.30-00.00.00")
@example("@GMT-2024.05.01-24.00.00")
@example("@GMT-0000.00.00-00.00.00")
@example("@GMT-9999.12.31-23.59.59")
@example("@GMT-٢٠٢٤.05.01-00.00.00")
@example("@gmt-2024.05.01-00.00.00")
def test_a_name_of_a_snapshot_is_made_again(name: str) -> None:
    found = snapshot_ns(name, NOW_NS)
    assert found is None or (snapshot_name(found) == name and found <= NOW_NS)


@given(st.integers(30 * DAY_NS, NOW_NS))
def test_midnights_are_snapshots_and_the_last_is_today(now_ns: int) -> None:
    found = midnights_ns(now_ns, 30)
    assert found == sorted(found, reverse=True)
    assert 0 <= now_ns - found[0] < DAY_NS
    assert {one - other for one, other in pairwise(found)} == {DAY_NS}
    assert [snapshot_ns(snapshot_name(each), now_ns) for each in found] == found


def test_a_path_of_the_past_is_a_path_of_the_drive() -> None:
    at_ns = ns(datetime(2024, 5, 1, tzinfo=UTC))
    assert past_path(at_ns, "/Hub/Project") == "/.snapshots/@GMT-2024.05.01-00.00.00/Hub/Project"
    assert past_path(at_ns, "/") == past_path(at_ns, "") == "/.snapshots/@GMT-2024.05.01-00.00.00"
