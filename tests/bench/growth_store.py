"""What each operation of the block store costs with so many objects at rest.

``python -m tests.bench.growth_store [DIRECTORY]`` prints a table; ``measure`` gives its rows. An
object is a row, one block and its ETag; a tenth have a file, 2000 at most, so that evictions have
some to delete. All figures are medians, but for the start: the fastest of three.
"""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from dmfs.blocks.store.block_store import DIRECTORY, BlockStore
from dmfs.blocks.store.stored_object import StoredObject
from dmfs.model import StorageId
from dmfs.spans import BLOCK_BYTES, MIB, Span, block_count
from tests.support.stores import fill_index, open_store

COUNTS = (10_000, 100_000, 1_000_000)
OBJECT_BYTES = 100_000
FILES_MAX = 2000
TIMES = 30

Row = tuple[str, int, float]
"""Operation, objects at rest, seconds for one."""


def measure(counts: Sequence[int] = COUNTS, directory: Path | None = None) -> list[Row]:
    """Rows (operation, objects at rest, seconds per operation), in the order of ``counts``."""
    rows: list[Row] = []
    for count in counts:
        place = Path(tempfile.mkdtemp(prefix="dmfs-growth-", dir=directory))
        try:
            rows += [(name, count, seconds) for name, seconds in _of(place, count)]
        finally:
            shutil.rmtree(place)
    return rows


def _of(place: Path, count: int) -> Iterable[tuple[str, float]]:
    fill_index(place, count, OBJECT_BYTES)
    with closing(open_store(place)) as store:
        for row in range(1, min(count // 10, FILES_MAX) + 1):
            path = store._evictor.path(row)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
    yield "start", min(_seconds(lambda: open_store(place).close()) for _ in range(3))
    with closing(open_store(place, 1 << 50)) as store:
        yield from _reads(store, count)
        yield from _writes(store, "without eviction")
    with closing(open_store(place, count * OBJECT_BYTES)) as store:
        yield from _writes(store, "each evicting")
        evicted = store.gauges()["store.evicted_objects"]
        began = time.perf_counter()
        store._evictor.make_room(64 * MIB, set())
        seconds = time.perf_counter() - began
        evicted = store.gauges()["store.evicted_objects"] - evicted
        yield "evict one object of a batch", seconds / max(1, evicted)
    assert (place / DIRECTORY).exists()


def _reads(store: BlockStore, count: int) -> Iterable[tuple[str, float]]:
    step = min(count // 10, FILES_MAX) // TIMES
    known = "urn:adsk.objects:os.object:bucket/"
    ids = [StorageId(f"{known}{1 + n * step:032x}.bin") for n in range(TIMES)]
    attached: list[StoredObject] = []
    yield "attach, at rest", _median(lambda n: attached.append(store.attach(ids[n], OBJECT_BYTES)))
    yield "release", _median(lambda n: store.release(attached[n]))
    yield "attach, not at rest", _median(lambda n: store.attach(StorageId(f"no {n}"), 1000))
    many = [StorageId(f"no {n}") for n in range(100)]
    yield "look up 100 at once", _median(lambda _n: store.absent(many))
    yield "tidy (64 uses)", _median(lambda _n: _used(store))
    yield "used bytes", _median(lambda _n: store.used_bytes())


def _used(store: BlockStore) -> None:
    for row in range(1, 65):
        store.attached.pending.used(row, time.time())
    store.tidy()


def _writes(store: BlockStore, how: str) -> Iterable[tuple[str, float]]:
    small, large = memoryview(bytes(20_000)), memoryview(bytes(8 * MIB))
    news = [store.attach(StorageId(f"small {how} {n}"), len(small)) for n in range(TIMES)]
    yield f"write 20 kB, {how}", _median(lambda n: store.write(news[n], 0, small))
    news = [store.attach(StorageId(f"large {how} {n}"), len(large)) for n in range(TIMES)]
    yield f"write 8 MiB, {how}", _median(lambda n: store.write(news[n], 0, large))
    buffer = bytearray(len(large))
    blocks = Span(0, block_count(len(buffer)))
    yield f"read 8 MiB, {how}", _median(lambda n: store.read(news[n], blocks, memoryview(buffer)))
    assert all(each.states[-1] for each in news), BLOCK_BYTES


def _median(work: Callable[[int], Any]) -> float:
    return statistics.median(_seconds(lambda n=n: work(n)) for n in range(TIMES))  # type: ignore[misc]


def _seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    rows = measure(directory=directory)
    names = dict.fromkeys(name for name, _, _ in rows)
    print("| operation | " + " | ".join(f"{count:,}" for count in COUNTS) + " |")
    print("|---|" + "---|" * len(COUNTS))
    for name in names:
        cells = [f"{seconds * 1e3:.3f} ms" for each, _, seconds in rows if each == name]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
