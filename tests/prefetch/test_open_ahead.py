"""Which files are signed and fetched ahead of a reader, whatever its order."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing

from dmfs.model import Listing, Root
from dmfs.names import inode_number
from dmfs.prefetch.file_series import FETCH_WINDOW
from dmfs.prefetch.listing_orders import READS_BEFORE
from dmfs.prefetch.open_ahead import ENTRIES_ON_LOOP, SmallFilePrefetcher
from tests.support.helpers import a_file

ORDERS = {
    "names": lambda file: file.name,
    "inodes": lambda file: inode_number(file.identity),
    "times": lambda file: file.mtime_ns,
    "sizes": lambda file: file.size_bytes,
}


class Disk:
    """Blocks of which nothing is at rest, and sizes that nobody may take for granted."""

    def __init__(self) -> None:
        self.signed: list[str] = []
        self.fetched: list[str] = []

    def of(self, file: Any) -> int:
        return file.size_bytes

    def may_wait(self, _file: Any) -> bool:
        return False

    async def authoritative(self, file: Any) -> int:
        self.signed.append(file.name)
        return file.size_bytes

    async def open(self, file: Any, size_bytes: int) -> Any:
        return SimpleNamespace(file=file, size_bytes=size_bytes)

    async def look_up(self, _storage_ids: Any) -> None:
        return None

    def start(self, opened: Any, _demand: Any, _ahead: Any) -> None:
        self.fetched.append(opened.file.name)

    def close(self, _opened: Any) -> None:
        return None


def listing_of(count: int) -> Listing:
    files = [
        a_file(f"f{n:05d}", 1000 + n * 7919 % count, mtime_ns=n * 104729 % count)
        for n in range(count)
    ]
    return Listing(Root(), {file.name: file for file in files}, 0.0)


@pytest.mark.parametrize("count", [200, ENTRIES_ON_LOOP + 1])
@pytest.mark.parametrize("order", list(ORDERS))
@pytest.mark.parametrize("down", [False, True])
def test_a_series_is_recognised_in_any_order(order: str, down: bool, count: int) -> None:
    async def main() -> None:
        disk, listing = Disk(), listing_of(count)
        async with trio.open_nursery() as nursery:
            prefetcher = SmallFilePrefetcher(disk, disk, nursery)  # type: ignore[arg-type]
            files = sorted(listing.entries.values(), key=ORDERS[order], reverse=down)
            for file in files[10:50]:
                prefetcher.on_first_read(listing, file.name)
                await trio.testing.wait_all_tasks_blocked()
                if prefetcher.is_sorting():
                    with trio.fail_after(20):
                        while prefetcher.is_sorting():
                            await trio.sleep(0.001)
        names = [file.name for file in files]
        late = READS_BEFORE + (count > ENTRIES_ON_LOOP)  # before it is recognised
        assert set(names[10 + late : 50 + FETCH_WINDOW]) <= set(disk.fetched)
        assert len(set(disk.fetched) - set(names[10:50])) <= FETCH_WINDOW
        assert len(set(disk.signed) - set(names[10:50])) <= 40 // 2

    trio.run(main)
