"""Calls to a disk that may hang: abandoned in time, never more than places, nothing lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import trio

from dmfs.system.disk_threads import DiskHangsError, DiskThreads
from tests.support.helpers import real

PATIENCE_S = 0.2


class Disk:
    """Hangs until ``go_on`` is set; counts the calls that reached it."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.entered = 0
        self.undone: list[int] = []

    def call(self) -> int:
        self.entered += 1
        self.go_on.wait(30)
        return 7


@pytest.fixture
def disk() -> Iterator[Disk]:
    made = Disk()
    yield made
    made.go_on.set()


async def gives_up(threads: DiskThreads, disk: Disk) -> None:
    with pytest.raises(DiskHangsError):
        await threads.run(disk.call, disk.undone.append)


@real
async def test_a_hang_is_abandoned_and_no_other_thread_follows(disk: Disk) -> None:
    threads = DiskThreads(2, PATIENCE_S)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(gives_up, threads, disk)
        assert disk.entered == 2
        assert threads.hangs
        await gives_up(threads, disk)
        assert disk.entered == 2, "no thread follows"


@real
async def test_what_a_hung_call_opened_is_closed_and_the_disk_is_used_again(disk: Disk) -> None:
    threads = DiskThreads(1, PATIENCE_S)
    await gives_up(threads, disk)
    disk.go_on.set()
    with trio.fail_after(10):
        while threads.hangs:
            await trio.sleep(0.01)
    assert disk.undone == [7]
    assert await threads.run(disk.call, disk.undone.append) == 7
    assert disk.undone == [7]


@real
async def test_errors_come_out_and_a_caller_that_leaves_loses_nothing(disk: Disk) -> None:
    threads = DiskThreads(1, 10.0)
    with pytest.raises(ZeroDivisionError):
        await threads.run(lambda: 1 // 0)
    results = []
    with trio.CancelScope() as scope:
        threading.Timer(0.2, disk.go_on.set).start()
        scope.deadline = trio.current_time() + 0.05
        results.append(await threads.run(disk.call, disk.undone.append))
    assert results == [7]
    assert disk.undone == []
    assert not threads.hangs
