"""The fault matrix: every kind of call × every fault × how often, in cells that run in parallel.

A cell opens a drive of its own (no mount, no cache) over an emulator, walks up to the call in
question while all is well, orders the fault, asks, and notes what the user sees, the calls that
were made, and the time it took. What it must see is ``expected``: rules, not recordings.
"""

from __future__ import annotations

import contextlib
import errno
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import trio

import dmfs.fetch.curl.transfers
import dmfs.fetch.object_client
import dmfs.http.json_client
import dmfs.ratelimit.limiter
from dmfs.assembly import open_drive
from dmfs.config import Settings
from dmfs.drive import Drive
from dmfs.emulator.process import EmulatorProcess
from dmfs.errors import DeadlineError, DriveError
from dmfs.model import File, Shortcut
from tests.hostile.matrix_cells import (
    CALLS,
    DATA_S,
    FAULTS,
    FILES,
    LARGE,
    METADATA_S,
    PAGE_LIMIT,
    SMALL,
    TIMES,
    WORLD,
    Cell,
    Outcome,
    expected,
)

GRACE_S = 6.0
"""A safety net, for only a clock tells that a deadline held: two cores are shared with others."""
PREPARATIONS = 4
"""How often a cell may begin, before its fault is ordered."""


ALONE_MAX = 3
"""So many cells of a run may be asked again, alone; a fault of the product shows in more, or then,
too."""


class UnpreparedError(Exception):
    """A deadline passed before the fault was ordered."""


@contextlib.contextmanager
def short_waits() -> Iterator[None]:
    """Backoffs and silences in proportion to the short deadlines of the cells."""
    values: dict[Any, dict[str, float]] = {
        dmfs.http.json_client: {"BACKOFF_FIRST_S": 0.02, "BACKOFF_MAX_S": 0.1, "SILENCE_S": 0.7},
        dmfs.fetch.object_client: {"BACKOFF_FIRST_S": 0.02, "BACKOFF_MAX_S": 0.1},
        dmfs.fetch.curl.transfers: {"STALL_TIMEOUT_S": 1},
        dmfs.ratelimit.limiter: {"DEFAULT_BACK_OFF_S": 0.2},
    }
    before = {
        (module, name): getattr(module, name) for module, names in values.items() for name in names
    }
    for module, names in values.items():
        for name, value in names.items():
            setattr(module, name, value)
    try:
        yield
    finally:
        for (module, name), value in before.items():
            setattr(module, name, value)


def settings_for(emulator: EmulatorProcess, directory: Path, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "api_url": emulator.api_url, "client_id": emulator.client_id,
        "client_secret": emulator.client_secret, "sign_in": "app",
        "cache_dir": directory / "cache", "state_dir": directory / "state", "cache_size": 0,
        "metadata_timeout": METADATA_S, "data_timeout": DATA_S,
        # a worker runs more cells in a minute than a client id may list projects (50)
        "rates": "off",
    }  # fmt: skip
    return Settings(**values | changes)


async def look(drive: Drive, path: str) -> Any:
    """What the user asks: the names of a directory, or a file's first 100 000 bytes."""
    node = await drive.resolve(path)
    if not isinstance(node, File | Shortcut):
        with trio.fail_after(METADATA_S * 4):
            return tuple((await drive.parts.listings.get(node)).names)
    reader = await drive.open(node)
    try:
        data, _ = await reader.read(0, 100_000)
        return bytes(data)
    finally:
        reader.close()


async def the_process(drive: Drive) -> None:
    """Until large files are fetched by a process of its own."""
    drive.parts.fetcher.prepare()
    with trio.fail_after(20):
        while drive.parts.fetcher.pid is None:
            await trio.sleep(0.005)


class Bench:
    """An emulator that one cell at a time has to itself."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.emulator = EmulatorProcess(world=WORLD)
        self.truths: dict[str, Any] = {}

    def start(self) -> None:
        self.emulator.start()
        self.emulator.settings(page_limit=PAGE_LIMIT)

    async def truth(self, path: str) -> Any:
        if path not in self.truths:
            changes = {"metadata_timeout": 60.0, "data_timeout": 60.0}
            async with open_drive(settings_for(self.emulator, self.directory, **changes)) as drive:
                self.truths[path] = await look(drive, path)
            if path == SMALL:  # several pages: not to be believed of the drive itself
                assert len(self.truths[path]) == FILES
        return self.truths[path]

    async def run(self, cell: Cell) -> Outcome:
        # The short deadlines are those of the fault to come. A busy machine may exceed them before
        # there is any: then nothing was seen yet, and a new drive begins.
        for _ in range(PREPARATIONS - 1):
            with contextlib.suppress(UnpreparedError):
                return await self._run(cell)
        return await self._run(cell)

    async def _prepare(self, drive: Drive, cell: Cell, path: str) -> None:
        try:
            if cell.call not in ("token", "hubs"):
                node = await drive.resolve(path.rpartition("/")[0] or "/")
                await drive.parts.listings.get(node)  # type: ignore[arg-type]
            if cell.call == LARGE:
                await the_process(drive)
        except DeadlineError as error:
            raise UnpreparedError(error.message) from error

    async def _run(self, cell: Cell) -> Outcome:
        origin, route, page, path = CALLS[cell.call]
        await trio.to_thread.run_sync(self._calm)
        truth = await self.truth(path)
        async with open_drive(settings_for(self.emulator, self.directory)) as drive:
            await self._prepare(drive, cell, path)
            await trio.to_thread.run_sync(self._order, cell, origin, route, page)
            started = time.monotonic()
            seen, message = await self._see(drive, path, truth)
            took_s = time.monotonic() - started
            if cell.fault == "refused" and origin == "api":
                await trio.to_thread.run_sync(self._wait_for_api)
            calls = await trio.to_thread.run_sync(self._count, origin, route)
            await trio.to_thread.run_sync(self.emulator.clear_faults)
        return Outcome(seen, calls, took_s, message)

    @staticmethod
    async def _see(drive: Drive, path: str, truth: Any) -> tuple[str, str]:
        try:
            seen = await look(drive, path)
        except DriveError as error:
            return errno.errorcode[error.errno], error.message
        except trio.TooSlowError:
            return "HANG", ""
        except Exception as error:  # noqa: BLE001 - a bug is an outcome too
            return type(error).__name__, str(error)
        return ("right" if seen == truth else "WRONG"), ""

    def _calm(self) -> None:
        # where one cell's "Retry-After: 60" would hold back the next ones: calls are counted there
        shutil.rmtree(self.directory / "state", ignore_errors=True)
        self.emulator.clear_faults()
        self.emulator.reset()

    def _order(self, cell: Cell, origin: str, route: str | None, page: int | None) -> None:
        self.emulator.reset()
        params = dict(FAULTS[cell.fault])
        if cell.fault == "tokens expired":
            self.emulator.expire_tokens()
            return
        if not params:
            seconds = {"once": 0.05, "three times": 0.15, "for ever": DATA_S + 1.0}[cell.times]
            self.emulator.refuse(origin, seconds)
            return
        if cell.ranged and params["kind"] == "status":
            params["shape"] = "xml"
        if page is not None and page == 0 and cell.call == "contents":
            page = None if cell.times == "for ever" else 0
        kind = params.pop("kind")
        self.emulator.fault(
            kind, origin=origin, route=route, page=page, times=TIMES[cell.times], **params
        )

    def _wait_for_api(self) -> None:
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            try:
                self.emulator.counts()
                return
            except OSError:
                time.sleep(0.05)

    def _count(self, origin: str, route: str | None) -> int:
        calls = self.emulator.calls()
        if origin == "cdn":  # without a range: whether the host is there at all (``origins.py``)
            return sum(each["origin"] == "cdn" and bool(each["range"]) for each in calls["log"])
        return int(calls["counts"][route or ""])


async def run_cells(wanted: list[Cell], directory: Path, workers: int) -> dict[Cell, Outcome]:
    """All cells, each worker with an emulator of its own."""
    # slow ones first
    todo = sorted(wanted, key=lambda cell: (cell.times != "for ever", cell.fault))
    results: dict[Cell, Outcome] = {}
    with short_waits():
        async with trio.open_nursery() as nursery:
            for number in range(workers):
                bench = Bench(directory / f"bench {number}")
                nursery.start_soon(_work, bench, todo, results)
        # The deadlines are of seconds, and the workers, and other tests, keep each other from the
        # processor. A few that ended by one may prove alone that it was not theirs.
        late = [
            cell
            for cell, outcome in results.items()
            if outcome.seen == "ETIMEDOUT" and outcome.seen not in expected(cell)
        ]
        if 0 < len(late) <= ALONE_MAX:
            await _work(Bench(directory / "alone"), late, results)
    return results


async def _work(bench: Bench, todo: list[Cell], results: dict[Cell, Outcome]) -> None:
    await trio.to_thread.run_sync(bench.start)
    try:
        while todo:
            cell = todo.pop(0)
            results[cell] = await bench.run(cell)
    finally:
        await trio.to_thread.run_sync(bench.emulator.stop)
