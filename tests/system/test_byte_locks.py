"""Locks between processes."""

from __future__ import annotations

import os
import time

import trio

from dmfs.system import byte_locks
from dmfs.system.byte_locks import ByteLocks
from dmfs.system.disk_threads import DiskThreads
from tests.support.helpers import real


@real
async def test_what_two_threads_lock_at_the_first_use_is_unlocked_again(tmp_path, monkeypatch):
    """Each opened the file: one lock stayed in a file that nobody knew."""
    opened = []

    def slow_open(*given):
        descriptor = os.open(*given)
        opened.append(descriptor)
        time.sleep(0.05)
        return descriptor

    slow = type("slow", (), {**vars(os), "open": staticmethod(slow_open)})
    monkeypatch.setattr(byte_locks, "os", slow)
    locks = ByteLocks(tmp_path / "locks", DiskThreads(2))

    async def use(offset: int) -> None:
        async with locks.lock(offset):
            await trio.sleep(0.05)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(use, 1)
        nursery.start_soon(use, 2)
    other = ByteLocks(tmp_path / "locks", DiskThreads(1))
    with trio.fail_after(20):
        async with other.lock(1), other.lock(2):
            pass
    assert len(opened) == 2, "one for each object"
    locks.close()
    other.close()
