"""What a drive is doing: exact counts, bounded memories, slow readers that cost nothing."""

from __future__ import annotations

import trio

from dmfs.errors import DeadlineError
from dmfs.telemetry.access_log import AccessRecord, access
from dmfs.telemetry.activity import (
    FAILURES_MAX,
    LISTENERS_MAX,
    QUEUE_EVENTS,
    RECENT_MAX,
    Activity,
)
from dmfs.telemetry.processes import Process
from tests.support.helpers import virtual


def record(activity: Activity, operation: str = "read", pid: int = 7) -> AccessRecord:
    return AccessRecord(operation, Process(pid, "rsync"))


@virtual
async def test_requests_under_way_are_told_oldest_first() -> None:
    activity = Activity()
    first = record(activity)
    activity.begin(first)
    await trio.sleep(1)
    second = record(activity, "lookup")
    activity.begin(second)
    assert activity.under_way() == [first, second]
    activity.end(first, "ok")
    assert activity.under_way() == [second]
    activity.end(second, "EIO")
    assert activity.under_way() == []
    assert first.process.requests == 1


@virtual
async def test_a_call_is_of_the_program_whose_request_made_it() -> None:
    activity = Activity()
    asking = record(activity)

    async def request() -> None:
        access.set(asking)
        async with trio.open_nursery() as inner:  # as the flight of a listing
            inner.start_soon(call)

    async def call() -> None:
        activity.on_call("contents", "ok", 0.5)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(request)
    await call()  # of nobody
    assert (asking.process.calls, activity.own.calls) == (1, 1)
    assert [(e["event"], e["program"]) for e in activity.recent] == [
        ("call", "rsync"),
        ("call", "dmfs"),
    ]


@virtual
async def test_the_last_failures_and_equal_ones_once() -> None:
    activity = Activity()
    for number in range(FAILURES_MAX + 2):
        for _ in range(3):
            error = DeadlineError(f"cannot list {number}", hint="wait")
            activity.on_failure(record(activity), error, "ETIMEDOUT")
    assert len(activity.failures) == FAILURES_MAX
    assert {failure.times for failure in activity.failures} == {3}
    assert activity.failures[-1].message == f"cannot list {FAILURES_MAX + 1}"


@virtual
async def test_what_a_slow_reader_misses_is_counted() -> None:
    activity = Activity()
    with activity.listening() as slow, activity.listening() as quick:
        assert slow is not None
        assert quick is not None
        heard = 0
        for number in range(3 * QUEUE_EVENTS):
            activity.publish("change", number=number)
            assert (await quick.events.receive())["number"] == number
            heard += 1
        assert heard == 3 * QUEUE_EVENTS
        assert slow.dropped == 2 * QUEUE_EVENTS
        for number in range(QUEUE_EVENTS):
            assert slow.events.receive_nowait()["number"] == number
        activity.publish("change", number=-1)
        assert slow.events.receive_nowait() == {"event": "dropped", "count": 2 * QUEUE_EVENTS}
        assert slow.events.receive_nowait()["number"] == -1
    assert len(activity.recent) == RECENT_MAX


@virtual
async def test_accesses_are_told_only_while_somebody_listens() -> None:
    activity = Activity()
    heard: list[bool] = []
    activity.subscribe(heard.append)
    quiet = record(activity)
    activity.begin(quiet)
    activity.end(quiet, "ok")
    assert not activity.recent
    with activity.listening() as listener:
        assert listener is not None
        activity.begin(quiet)
        activity.end(quiet, "ENOENT")
        event = listener.events.receive_nowait()
        assert (event["event"], event["outcome"], event["pid"]) == ("access", "ENOENT", 7)
        assert not activity.recent  # they would push out what is rarer
    assert heard == [True, False]


@virtual
async def test_listeners_are_limited() -> None:
    activity = Activity()
    opened = [activity.listening() for _ in range(LISTENERS_MAX + 1)]
    given = [each.__enter__() for each in opened]
    assert given[-1] is None
    assert None not in given[:-1]
    for each in reversed(opened):
        each.__exit__(None, None, None)
    with activity.listening() as again:
        assert again is not None
