"""Clocks, made-up bytes, a made-up source: what several unit tests share."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import trio
from trio.testing import MockClock

from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import DriveError
from dmfs.fetch.curl.progress import AnyProgress, Progress, as_progress
from dmfs.fetch.curl.transfer import ETagGuard, RangeRequest
from dmfs.model import File, FolderId, HubId, ItemId, ProjectId, StorageId
from dmfs.spans import Span

_numbers = itertools.count(1)
_PERIOD = random.Random(7).randbytes(1_000_003)


def virtual(test: Callable[..., Any]) -> Callable[..., None]:
    """Run an async test in virtual time: sleeping costs nothing. Not for work in threads."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        in_virtual_time(functools.partial(test, *args, **kwargs))

    return run


def real(test: Callable[..., Any]) -> Callable[..., None]:
    """Run an async test in real time, for at most 30 s."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def main() -> None:
            with trio.fail_after(30):
                await test(*args, **kwargs)

        trio.run(main)

    return run


def in_virtual_time(body: Callable[[], Any]) -> Any:
    async def main() -> Any:
        with trio.fail_after(10_000_000):
            return await body()

    return trio.run(main, clock=MockClock(autojump_threshold=0))


def a_new_file(emulator: EmulatorProcess, size: int) -> File:
    """A file of that size that nobody has asked for before."""
    folder = "Bench/Bench Project/Project Files"
    item = emulator.change(
        "add_item", path=folder, name=f"unit {next(_numbers)}.bin", size=size
    )  # fmt: skip
    version = item["versions"][-1]
    return a_file(
        version["name"], size, item_id=item["id"], version=version["id"],
        storage_id=version["storage"],
    )  # fmt: skip


def a_get(url: str, length: int, **changes: Any) -> RangeRequest:
    """The first ``length`` bytes of an object of that size."""
    get = RangeRequest(
        "read 'x'", url, 0, memoryview(bytearray(length)), length, ETagGuard(), Progress()
    )  # fmt: skip
    return dataclasses.replace(get, **changes)


def truth(start: int, stop: int) -> bytes:
    """The bytes of every made-up object: not periodic in any power of two."""
    pieces = []
    while start < stop:
        at = start % len(_PERIOD)
        piece = _PERIOD[at : at + stop - start]
        pieces.append(piece)
        start += len(piece)
    return b"".join(pieces)


def a_file(name: str = "plan.dwg", size: int | None = 1000, **fields: Any) -> File:
    """A file; all its ids follow from its name unless given."""
    values: dict[str, Any] = {
        "item_id": ItemId(f"urn:adsk.wipprod:dm.lineage:{name}"),
        "version": f"urn:adsk.wipprod:fs.file:vf.{name}?version=1",
        "storage_id": StorageId(f"urn:adsk.objects:os.object:wip.dm.prod/{name}"),
        "folder_id": FolderId("folder"),
        "project_id": ProjectId("b.project"),
        "hub_id": HubId("b.hub"),
        "name": name,
        "size_bytes": size,
    }
    return File(**values | fields)


class FakeSource:
    """Fills sinks with ``truth`` in virtual time, as fast and as well as it is told to."""

    def __init__(self, *, latency_s: float = 0.05, bytes_per_s: float = 10e6) -> None:
        self.latency_s = latency_s
        self.bytes_per_s = bytes_per_s
        self.fills: list[Span] = []
        self.active: Counter[str] = Counter()
        self.peak_file = 0
        self.peak_total = 0
        self.failures: list[tuple[int, DriveError]] = []
        """Each makes one fill fail after so many bytes."""
        self.at_step: Callable[[], None] = lambda: None

    async def fill(self, file: File, span: Span, sink: memoryview, progress: AnyProgress) -> None:
        assert len(sink) == span.length > 0
        told = as_progress(progress)
        self.fills.append(span)
        self.active[file.name] += 1
        self.peak_file = max(self.peak_file, self.active[file.name])
        self.peak_total = max(self.peak_total, self.active.total())
        failure = self.failures.pop(0) if self.failures else None
        try:
            await trio.sleep(self.latency_s)
            filled = 0
            while filled < span.length:
                if failure is not None and filled >= failure[0]:
                    raise failure[1]
                step = min(100_000, span.length - filled)
                if failure is not None:
                    step = min(step, max(failure[0] - filled, 1))
                await trio.sleep(step / self.bytes_per_s)
                sink[filled : filled + step] = truth(
                    span.start + filled, span.start + filled + step
                )
                filled += step
                self.at_step()
                if told.put(filled):
                    told.wake()
                self.at_step()
        finally:
            self.active[file.name] -= 1
