"""Errors leave nurseries bare; gather keeps order; pauses and waits end when they say."""

from __future__ import annotations

import threading

import pytest
import trio

from dmfs.errors import DriveError, NotFoundError
from dmfs.system.backoff import Cooldown, backoff_s
from dmfs.system.concurrency import bare_errors, computed, gather
from tests.support.helpers import no_thread, virtual


async def fail(error: Exception, after_s: float = 0.0) -> None:
    if after_s:
        await trio.sleep(after_s)
    raise error


async def both(*errors: Exception) -> None:
    with bare_errors():
        async with trio.open_nursery() as nursery:
            for error in errors:
                nursery.start_soon(fail, error)


@virtual
async def test_the_one_error_of_nested_nurseries_comes_out_bare():
    async def inner() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(fail, OSError("the disk"))

    with pytest.raises(OSError, match="the disk"), bare_errors():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(inner)


@virtual
async def test_what_a_person_can_act_on_goes_before_other_errors():
    with pytest.raises(NotFoundError):
        await both(OSError("the disk"), NotFoundError("no such hub"))


@virtual
async def test_several_errors_that_nobody_can_choose_among_stay_together():
    with pytest.raises(ExceptionGroup) as caught:
        await both(OSError("one"), ValueError("two"))
    assert len(caught.value.exceptions) == 2


@virtual
async def test_gather_returns_in_the_order_of_the_work():
    async def after(seconds: float) -> float:
        await trio.sleep(seconds)
        return seconds

    assert await gather([lambda: after(2), lambda: after(1), lambda: after(3)]) == [2, 1, 3]
    assert trio.current_time() % 1000 < 4
    assert await gather([]) == []


@virtual
async def test_the_first_failure_ends_the_rest_of_gather():
    ended = []

    async def slow() -> None:
        try:
            await trio.sleep(100)
        finally:
            ended.append(trio.current_time())

    began = trio.current_time()
    with pytest.raises(DriveError, match="gone"):
        await gather([slow, lambda: fail(DriveError("gone"), 1.0)])
    assert ended == [began + 1.0]


@virtual
async def test_a_cooldown_is_over_after_its_pause():
    cooldown = Cooldown(5.0)
    assert cooldown.is_over
    cooldown.start()
    assert not cooldown.is_over
    assert cooldown.left_s == 5.0
    await trio.sleep(4.9)
    assert not cooldown.is_over
    await trio.sleep(0.1)
    assert cooldown.is_over
    cooldown.start(60.0)
    cooldown.end()
    assert cooldown.is_over
    assert cooldown.left_s == 0.0


def test_a_backoff_doubles_up_to_its_end_and_never_halves_twice():
    for attempt, whole_s in enumerate([0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0], 1):
        for _ in range(50):
            assert whole_s / 2 <= backoff_s(attempt, 0.5, 8.0) <= whole_s


@virtual
async def test_the_processors_work_is_done_on_the_loop_where_there_is_no_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A checksum, a parse: no reason to fail."""
    assert await computed(threading.get_ident) != threading.get_ident()
    with no_thread(monkeypatch):
        assert await computed(threading.get_ident) == threading.get_ident()


@virtual
async def test_an_error_of_the_processors_work_passes() -> None:
    def bug() -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        await computed(bug)
