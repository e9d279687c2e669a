"""When a worker of pyfuse3's reads a request, and when it waits for one."""

from __future__ import annotations

from collections import deque

import pytest
import trio

from dmfs.fuse import workers
from tests.support.helpers import virtual


class Kernel:
    """Requests that come when they are told to."""

    def __init__(self) -> None:
        self.requests: deque[float] = deque()
        self.turns = 0

    def poll(self, timeout_ms: int) -> list[tuple[int, int]]:
        assert timeout_ms == 0
        due = bool(self.requests) and self.requests[0] <= trio.current_time()
        return [(7, 1)] if due else []

    async def wait(self) -> bool:
        """pyfuse3's own: until there is something to read, by the loop's word."""
        self.turns += 1
        if not self.requests:
            return False
        await trio.sleep_until(self.requests[0])
        await trio.lowlevel.checkpoint()
        return True


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(workers, "_wait_fuse_readable", made.wait)
    return made


@virtual
async def test_requests_that_are_there_are_taken_in_a_row_but_the_loop_gets_its_turn(
    kernel: Kernel,
) -> None:
    look = workers._QuickLook(kernel)  # type: ignore[arg-type]
    kernel.requests.extend([trio.current_time()] * 100)
    while kernel.requests:
        assert await look.wait()
        kernel.requests.popleft()
    assert kernel.turns == 100 // (workers.IN_A_ROW + 1)
    assert not await look.wait(), "the session is over"


@virtual
async def test_a_worker_that_was_woken_for_anothers_request_waits_for_the_next(
    kernel: Kernel,
) -> None:
    look = workers._QuickLook(kernel)  # type: ignore[arg-type]
    kernel.requests.append(trio.current_time() + 5)
    took: list[float] = []

    async def work(done: trio.Event) -> None:
        assert await look.wait()
        kernel.requests.popleft()
        took.append(trio.current_time())
        kernel.requests.append(trio.current_time() + 5)
        done.set()

    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(work, trio.Event())
    assert [at - began for at in took] == [5, 10]
