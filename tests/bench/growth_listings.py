"""How the cost of listings and of the log of calls grows with their number."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import trio

from dmfs.aps.contents import decode_contents
from dmfs.model import Child, Folder, FolderId, HubId, Listing, ProjectId
from dmfs.names import entry_names
from dmfs.namespace.change_feed import changed_names
from dmfs.namespace.listing_cache import Freshness, ListingCache
from dmfs.namespace.listing_codec import Record, decode, encode
from dmfs.namespace.listing_store import ListingStore
from dmfs.ratelimit.limits import Priority, Rate
from dmfs.ratelimit.shared_log import FileRateLog
from dmfs.system.clock import Moment
from dmfs.system.gc_tuning import set_up_heap
from tests.support.answers import PROJECT, item, page, version
from tests.support.helpers import a_file

Row = tuple[str, int, float]
"""Operation, how many there are, CPU-seconds of one operation."""
SAMPLES = 50
ENTRIES = 20
"""Of each of many listings."""


def measure(counts: Sequence[int]) -> list[Row]:
    """``counts``: listings at rest, and entries of one folder. CPU-seconds an operation."""
    set_up_heap()  # as in a drive: the interpreter's collector goes through all entries
    return [row for count in counts for row in (*at_rest(count), *one_folder(count))]


def measure_logs(processes: Sequence[int]) -> list[Row]:
    """``processes`` that share one full window of calls."""
    return [row for count in processes for row in log_of_calls(count)]


def _timed(work: Callable[[], Any], times: int = 1) -> float:
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


def _folder(number: int) -> Folder:
    return Folder(FolderId(f"f{number}"), ProjectId("b.p"), HubId("b.h"), f"f{number}")


def _record(number: int, entries: dict[str, Child]) -> Record:
    return Record(
        moment=Moment.now(), directory=_folder(number), parent="", rollup_ns=None, entries=entries
    )


def at_rest(count: int) -> list[Row]:
    """Many small listings on disk and in memory."""
    entries: dict[str, Child] = {f"{n}": a_file(str(n)) for n in range(ENTRIES)}
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as directory:
        store = ListingStore(Path(directory), "me")
        with store._opened().transact():
            for number in range(count):
                store._save(_record(number, entries))
        store.close()
        store = ListingStore(Path(directory), "me")
        rows.append(("listings: start", count, _timed(store._opened)))
        numbers = [(number * 7919) % count for number in range(SAMPLES)]
        identities = iter([_folder(number).identity for number in numbers])
        rows.append(
            ("listings: recall", count, _timed(lambda: store._load(next(identities)), SAMPLES))
        )
        records = iter([_record(number, entries) for number in numbers])
        rows.append(("listings: save", count, _timed(lambda: store._save(next(records)), SAMPLES)))
        store._opened().reset("size_limit", store._opened().volume() - 1)  # each save evicts
        full = iter([_record(count + number, entries) for number in range(SAMPLES)])
        rows.append(
            ("listings: save and evict", count, _timed(lambda: store._save(next(full)), 50))
        )
        store.close()

    async def in_memory() -> None:
        cache = ListingCache(Freshness())
        listings = [Listing(_folder(number), entries, 0.0) for number in range(count)]
        moment = Moment.now()
        seconds = _timed(lambda: [cache.put(listing, moment) for listing in listings])
        rows.append(("listings: put and evict in memory", count, seconds / count))

    trio.run(in_memory)
    return rows


def one_folder(count: int) -> list[Row]:
    """One folder of so many entries: seconds of the whole folder."""
    answers = []
    for start in range(0, count, 200):
        names = [f"i{n}" for n in range(start, min(start + 200, count))]
        included = [version(item=name, name=f"{name}.dwg") for name in names]
        rows_of = [item(name, f"urn:{name}?version=1") for name in names]
        answers.append(page(*rows_of, included=included))
    children: list[Child] = []

    def decode_pages() -> None:
        for answer in answers:
            children.extend(decode_contents(answer, "list", PROJECT).children)

    rows: list[Row] = [("folder: decode the pages", count, _timed(decode_pages))]
    entries = entry_names(children)
    record = _record(0, entries)
    raw = encode(record)
    listing = Listing(record.directory, entries, 0.0)

    async def put() -> float:
        cache = ListingCache(Freshness())
        return _timed(partial(cache.put, listing, record.moment))

    names = list(entries)
    rows += [
        ("folder: name the entries", count, _timed(lambda: entry_names(children))),
        ("folder: build and put the listing", count, trio.run(put)),
        ("folder: to disk", count, _timed(lambda: encode(record))),
        ("folder: from disk", count, _timed(lambda: decode(raw))),
        ("folder: what changed", count, _timed(lambda: changed_names(entries, dict(entries)))),
        ("folder: look up every name", count, _timed(lambda: [entries.get(n) for n in names])),
    ]
    return rows


def log_of_calls(count: int) -> list[Row]:
    """One call of each of so many processes, into a window of 1000 calls that is full."""
    rate = Rate(1000)

    async def calls() -> float:
        with tempfile.TemporaryDirectory() as directory:
            clock = iter(range(10_000_000))
            logs = [
                FileRateLog(Path(directory), "app", lambda: next(clock) * 0.01)
                for _ in range(count)
            ]
            for _ in range(1000):
                await logs[0].take("oss", rate, Priority.READ)
            began = time.process_time()
            for each in logs:
                await each.take("oss", rate, Priority.READ)
            return (time.process_time() - began) / count

    return [("log of calls: one call", count, trio.run(calls))]


if __name__ == "__main__":
    for operation, number, seconds in [*measure([10**3, 10**4]), *measure_logs([10, 100, 1000])]:
        print(f"{operation:40} {number:8} {seconds * 1e3:12.3f} ms")
