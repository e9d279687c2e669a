"""Clocks, made-up bytes, a made-up source: what several unit tests share."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import DriveError
from dmfs.fetch.curl.progress import Progress
from dmfs.fetch.curl.transfer import ETagGuard, RangeRequest
from dmfs.fetch.generation import Generation, Sample
from dmfs.fetch.object_client import Content, ObjectClient
from dmfs.model import File, FolderId, HubId, ItemId, ProjectId, StorageId
from dmfs.spans import Span

CHILD_ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
"""Of a child process that imports dmfs and these tests."""
_numbers = itertools.count(1)
_PERIOD = random.Random(7).randbytes(1_000_003)


@contextmanager
def no_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The machine has no thread to give meanwhile."""

    async def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(trio.to_thread, "run_sync", refuse)
        yield


def virtual(test: Callable[..., Any]) -> Callable[..., None]:
    """Run an async test in virtual time: sleeping costs nothing. Not for work in threads."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        in_virtual_time(functools.partial(test, *args, **kwargs))

    return run


def real(test: Callable[..., Any]) -> Callable[..., None]:
    """Run an async test in real time, for at most 90 s: a busy machine takes 40 for some."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def main() -> None:
            with trio.fail_after(90):
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


class Whole:
    """A version's bytes as the block cache names them to a source: of one generation."""

    def __init__(self, file: File, size_bytes: int | None = None) -> None:
        size_bytes = file.size_bytes or 0 if size_bytes is None else size_bytes
        self.file = file
        self.generation = Generation(file.storage_id, size_bytes)
        self.cached: Sample | DriveError | None = None

    async def sample(self) -> Sample | None:
        if isinstance(self.cached, DriveError):
            raise self.cached
        return self.cached


class Recorded(Progress):
    """Keeps every figure that it is set to."""

    def __init__(self) -> None:
        super().__init__()
        self.figures: list[int] = []

    def put(self, filled: int) -> bool:
        super().put(filled)
        return True

    def wake(self) -> None:
        self.figures.append(self.filled)


async def fetched(
    client: ObjectClient, content: Content, span: Span, progress: Progress | None = None
) -> bytes:
    """The bytes of a span by way of the client."""
    buffer = bytearray(span.length)
    await client.fill(content, span, memoryview(buffer), progress or Progress())
    return bytes(buffer)


class FakeSource:
    """Fills buffers with ``truth`` in virtual time, as fast and as well as it is told to."""

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

    async def fill(
        self, content: Content, span: Span, buffer: memoryview, progress: Progress
    ) -> None:
        assert len(buffer) == span.length > 0
        file = content.file
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
                buffer[filled : filled + step] = truth(
                    span.start + filled, span.start + filled + step
                )
                filled += step
                self.at_step()
                if progress.put(filled):
                    progress.wake()
                self.at_step()
        finally:
            self.active[file.name] -= 1
