"""The fault matrix: every kind of call × every fault × how often, in cells that run in parallel.

A cell opens a drive of its own (no mount, no cache) over an emulator, walks up to the call in
question while all is well, orders the fault, asks, and notes what the user sees, the calls that
were made, and the time it took. What it must see is ``expected``: rules, not recordings.
"""

from __future__ import annotations

import errno
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
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
from dmfs.errors import DriveError
from dmfs.model import File, Shortcut

FILES = 5
WORLD = f"sample+small:files={FILES},min=20000,max=40960+big:size=40000000,count=1"
PAGE_LIMIT = 2
BENCH = "/Bench/Bench Project/Project Files"
SMALL = f"{BENCH}/small"
METADATA_S = 2.5
DATA_S = 3.0
GRACE_S = 6.0
"""Two cores that others use as well: a deadline is judged with this much patience."""

LARGE = "range of a large file"
"""Fetched by the process of its own; small ones by the drive's."""

CALLS = {
    "token": ("api", "token", None, "/"),
    "hubs": ("api", "hubs", None, "/"),
    "projects": ("api", "projects", None, "/Bench"),
    "topFolders": ("api", "topFolders", None, "/Bench/Bench Project"),
    "contents": ("api", "contents", 0, SMALL),
    "contents page 2": ("api", "contents", 1, SMALL),
    "item": (
        "api", "item", None,
        "/Emulated Builders ／ Headquarters/Quirks/Project Files/Folders/half of the tips missing",
    ),
    "sign": ("api", "sign", None, f"{SMALL}/small-00003.txt"),
    "range of a small file": ("cdn", None, None, f"{SMALL}/small-00003.txt"),
    LARGE: ("cdn", None, None, f"{BENCH}/big/big-00.bin"),
}  # fmt: skip
"""Kind of call → where the fault strikes, and the path whose listing or bytes ask for it."""

FAULTS: dict[str, dict[str, Any]] = {
    "refused": {},
    "reset before headers": {"kind": "reset_before_headers"},
    "reset after headers": {"kind": "reset_after_headers"},
    "reset mid body": {"kind": "reset_mid_body"},
    "stall before headers": {"kind": "stall_before_headers", "seconds": None},
    "stall mid body": {"kind": "stall_mid_body", "seconds": None},
    "slow drip": {"kind": "drip", "bytes_per_s": 200},
    **{f"{code}": {"kind": "status", "status": code} for code in (401, 403, 404, 408, 409)},
    "429": {"kind": "status", "status": 429},
    "429, Retry-After 1": {"kind": "status", "status": 429, "retry_after": 1},
    "429, Retry-After 60": {"kind": "status", "status": 429, "retry_after": 60},
    **{f"{code}": {"kind": "status", "status": code} for code in (500, 502, 503, 504)},
    "503, Retry-After 60": {"kind": "status", "status": 503, "retry_after": 60},
    "HTML page": {"kind": "html_200"},
    "truncated JSON": {"kind": "truncated_json"},
    "malformed JSON": {"kind": "malformed_json"},
    "wrong JSON types": {"kind": "wrong_json_types"},
    "empty body": {"kind": "empty_body"},
    "short body": {"kind": "short_body"},
    "long body": {"kind": "long_body"},
    "huge headers": {"kind": "huge_headers"},
    "redirect": {"kind": "redirect", "location": "http://127.0.0.1:9/elsewhere"},
    "redirect to a file": {"kind": "redirect", "location": "file:///etc/passwd"},
    "redirect to the metadata address": {
        "kind": "redirect", "location": "http://169.254.169.254/latest/meta-data",
    },
    "page in a circle": {"kind": "page_circle"},
    "next page elsewhere": {"kind": "next_other_host"},
    "wrong Content-Range": {"kind": "wrong_content_range"},
    "200 instead of 206": {"kind": "ok_200_instead_of_206"},
    "wrong bytes": {"kind": "wrong_bytes"},
    "changed ETag": {"kind": "changed_etag"},
    "expired URL": {"kind": "expired_url"},
    "tokens expired": {},
}  # fmt: skip
TIMES: dict[str, int | None] = {"once": 1, "three times": 3, "for ever": None}

JSON_ONLY = {"truncated JSON", "malformed JSON", "wrong JSON types"}
PAGED_ONLY = {"page in a circle", "next page elsewhere"}
RANGE_ONLY = {
    "wrong Content-Range", "200 instead of 206", "wrong bytes", "changed ETag", "expired URL",
}  # fmt: skip


@dataclass(frozen=True, order=True)
class Cell:
    """One box of the matrix."""

    call: str
    fault: str
    times: str

    def __str__(self) -> str:
        return f"{self.call} / {self.fault} / {self.times}"

    @property
    def ranged(self) -> bool:
        return self.call.startswith("range")


@dataclass(frozen=True)
class Outcome:
    """What the user saw: ``right``, ``WRONG``, an errno's name, or the name of a bug."""

    seen: str
    calls: int
    took_s: float
    message: str = ""


def cells() -> list[Cell]:
    """All that make sense: a range has no pages and no JSON, a listing no ETag."""
    found = []
    for call in CALLS:
        for fault in FAULTS:
            ranged = call.startswith("range")
            if (fault in RANGE_ONLY and not ranged) or (ranged and fault in JSON_ONLY | PAGED_ONLY):
                continue
            if fault == "tokens expired":
                found.append(Cell(call, fault, "once"))
                continue
            if fault in PAGED_ONLY and not call.startswith(("contents", "projects")):
                continue
            found += [Cell(call, fault, times) for times in TIMES]
    return found


RETRIED = {
    "refused", "reset before headers", "reset after headers", "reset mid body", "408", "429",
    "429, Retry-After 1", "500", "502", "503", "504", "short body",
}  # fmt: skip
DAMAGED = {"HTML page", "empty body", "huge headers"} | JSON_ONLY
"""Believed to be an accident once. (Headers without end break the conversation: tried again.)"""


def expected(cell: Cell) -> set[str]:
    """What the user may see, by the rules of the house; more than one where a race decides."""
    found = _expected(cell)
    if cell.times != "for ever" and cell.call in ("item", "range of a large file"):
        found |= {"right"}  # several calls at once: the fault spreads over them
    return found


def _expected(cell: Cell) -> set[str]:
    fault, times = cell.fault, cell.times
    ever = times == "for ever"
    if fault == "tokens expired":
        return {"right"}
    if fault in ("stall before headers", "stall mid body", "slow drip"):
        return _slow(cell)
    if cell.ranged:
        return _ranged(cell)
    if fault in RETRIED:
        if fault == "429, Retry-After 1" and times == "three times":
            return {
                "EBUSY",
                "ETIMEDOUT",
                "right",
            }  # three seconds of waiting, of which the deadline has 2.5
        if not ever:
            return {"right"}
        if fault.startswith("429"):
            return {"EBUSY"} if fault == "429" else {"EBUSY", "ETIMEDOUT"}
        return {"EIO", "ETIMEDOUT"}
    if fault in DAMAGED:
        return _damaged(cell)
    if fault == "long body":
        return {"right"}  # blanks behind a JSON object are no damage
    if fault == "401":
        if cell.call == "token":
            return {"EACCES"}
        return {"right"} if times == "once" else {"EACCES"}
    item = cell.call == "item"  # every name is there; who opens the refused one gets EACCES
    return {
        "403": {"right" if item else "EACCES"},
        "404": {"right" if item else "ESTALE"},
        "429, Retry-After 60": {"EBUSY"},
        # led back once, the pages that came twice count once
        "page in a circle": {"EIO"} if ever else {"EIO", "right"},
        # only its query is taken over: the host stays ours
        "next page elsewhere": {"right", "EIO"},
    }.get(fault, {"EIO"})


def _damaged(cell: Cell) -> set[str]:
    if cell.fault == "wrong JSON types" and cell.times != "for ever":
        return {"EIO"}  # valid JSON: no accident of the wire, so not asked again
    if cell.fault == "huge headers":
        return {"right"} if cell.times != "for ever" else {"EIO"}
    return {"right"} if cell.times == "once" else {"EIO"}


def _slow(cell: Cell) -> set[str]:
    if cell.fault == "slow drip" and not cell.ranged:
        return {"right", "EIO", "ETIMEDOUT"}  # an answer of a few hundred bytes gets through
    if cell.times == "for ever":
        large = cell.call == "range of a large file" and cell.fault != "stall before headers"
        return {"ETIMEDOUT", "EIO", "right"} if large else {"ETIMEDOUT", "EIO"}
    # silence is borne for a while, so that much of the deadline may be gone by then
    return {"right", "ETIMEDOUT", "EIO"} if cell.times == "three times" else {"right", "ETIMEDOUT"}


def _ranged(cell: Cell) -> set[str]:
    fault, ever = cell.fault, cell.times == "for ever"
    small = "small" in cell.call
    if fault in ("200 instead of 206", "long body") and small:
        return {"right"}  # the whole object was asked for
    if fault in ("reset mid body", "short body"):
        return {"right", "EIO"}  # each try goes on from where the last one broke
    if fault == "empty body":
        # a 200 without a body: not the object
        return {"EIO"} if ever else {"right"}
    if fault == "wrong bytes":
        if not small:
            return {"WRONG"}  # nothing tells, until the file is complete and meets its sha1
        return {"right"} if cell.times == "once" else {"EIO"}
    if fault in ("403", "expired URL"):
        return {"right"} if cell.times == "once" else {"EACCES"}
    if fault == "changed ETag":
        return {"right", "EIO"}  # who read under the odd one is told to open the file again
    if fault in ("401", "404"):
        return {"EACCES" if fault == "401" else "ESTALE"}
    if fault.endswith("Retry-After 60"):
        return {"EBUSY" if fault.startswith("429") else "EIO"}  # beyond the deadline: at once
    if fault == "429, Retry-After 1" and cell.times != "once":
        return {"EBUSY", "ETIMEDOUT"} | (set() if ever else {"right"})
    if fault.startswith("429"):
        return {"EBUSY"} if ever else {"right"}
    return {"EIO"} if ever else {"right"}


@contextmanager
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
        origin, route, page, path = CALLS[cell.call]
        await trio.to_thread.run_sync(self._calm)
        truth = await self.truth(path)
        async with open_drive(settings_for(self.emulator, self.directory)) as drive:
            if cell.call not in ("token", "hubs"):
                node = await drive.resolve(path.rpartition("/")[0] or "/")
                await drive.parts.listings.get(node)  # type: ignore[arg-type]
            if cell.call == LARGE:
                await the_process(drive)
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
    results: dict[Cell, Outcome] = {}
    todo = sorted(
        wanted, key=lambda cell: (cell.times != "for ever", cell.fault)
    )  # slow ones first

    async def work(number: int) -> None:
        bench = Bench(directory / f"bench {number}")
        await trio.to_thread.run_sync(bench.start)
        try:
            while todo:
                cell = todo.pop(0)
                results[cell] = await bench.run(cell)
        finally:
            await trio.to_thread.run_sync(bench.emulator.stop)

    with short_waits():
        async with trio.open_nursery() as nursery:
            for number in range(workers):
                nursery.start_soon(work, number)
    return results
