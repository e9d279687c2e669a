"""Calls that change something × what goes wrong with them × a restart in the middle: what was saved
arrives exactly once, or the file says why not; then a retry brings it."""

from __future__ import annotations

import functools
import os
import time
from typing import Any, NamedTuple

import pytest
import trio

from dmfs.errors import DriveError
from dmfs.write.records import State
from tests.write.model.machine import Machine, run_fast, until
from tests.write.model.place import Place, sha256

FULL = os.environ.get("DMFS_WRITE_MATRIX", "") == "full"
SHARE = 35
"""Of the cells so many share one that the suite looks at; the night looks at all."""
RATE = 40.0
FAULTS: dict[str, dict[str, Any]] = {
    **{str(code): {"kind": "status", "status": code}
       for code in (400, 401, 403, 404, 409, 423, 429, 500, 503)},
    "500 after": {"kind": "status", "status": 500, "after_effect": True},
    "reset before": {"kind": "reset_before_effect"},
    "reset after": {"kind": "reset_before_headers"},
    "late": {"kind": "late_effect", "seconds": 0.4},
    "stall": {"kind": "stall_before_headers", "seconds": None},
    "garbage": {"kind": "malformed_json"},
    "garbage after": {"kind": "malformed_json", "after_effect": True},
    "html": {"kind": "html_200"},
}  # fmt: skip
UPLOAD_ROUTES = (
    "storage", "upload_urls", "cdn_put", "complete", "details", "item", "versions_post",
    "items_post", "commands", "contents",
)  # fmt: skip
PUT_FAULTS = (
    "request_timeout", "slow_down", "corrupt_upload", "no_etag", "changed_etag", "expired_url",
    "reset_mid_upload", "stall_mid_upload",
)  # fmt: skip
OLD = b"old " * 20


class Cell(NamedTuple):
    """``times``: how often the fault strikes."""

    route: str
    fault: str
    new: bool
    restart: bool
    times: int

    def __str__(self) -> str:
        target = "new file" if self.new else "new version"
        return f"{self.route} {self.fault} ×{self.times}, {target}{', restart' * self.restart}"


def cells(route: str) -> list[Cell]:
    kinds = [*FAULTS, *(PUT_FAULTS if route == "cdn_put" else ())]
    if route == "complete":
        kinds.append("200 with an error")
    every = [
        Cell(route, fault, new, restart, times)
        for fault in kinds
        for new in (True, False)
        for restart in (False, True)
        for times in (1, 2)
        if route not in ("items_post", "versions_post") or new == (route == "items_post")
    ]
    return every if FULL else every[len(route) % SHARE :: SHARE]


def order(machine: Machine, cell: Cell) -> None:
    fault = dict(FAULTS.get(cell.fault, {"kind": cell.fault}))
    if cell.fault == "200 with an error":
        machine.emulator.settings(failed_completion_status=200)
        fault = {"kind": "corrupt_upload"}
        machine.emulator.fault(**fault, route="cdn_put", times=cell.times)
        return
    machine.emulator.fault(**fault, route=cell.route, times=cell.times)


def hit(machine: Machine) -> bool:
    return any(each["hits"] for each in machine.emulator.faults())


async def try_cell(machine: Machine, place: Place, cell: Cell, number: int) -> str:
    """'' or what was wrong."""
    name = f"plan {number}.dwg"
    path, data = f"{place.path}/{name}", f"{cell} {place.path[-9:]} ".encode() * 9
    if not cell.new:
        place.add(name, OLD)
    async with machine.on():
        await machine.look_again(place.path)
        order(machine, cell)
        try:
            await machine.save(path, data)
        except DriveError:  # what it may do was not known, or what is there
            machine.emulator.clear_faults()
            await machine.save(path, data)
        if cell.restart:
            with trio.move_on_after(2.0 * RATE):
                while not hit(machine) and not machine.rests:
                    await trio.sleep(0.01 * RATE)
        else:
            await until(lambda: machine.rests, 30.0, machine.what_is_left)
    async with machine.on():
        await until(lambda: machine.rests, 30.0, machine.what_is_left)
        machine.emulator.clear_faults()
        live = await machine.live(path)
        if live is not None and live.draft is not None and live.draft.state is State.FAILED:
            if not live.draft.reason:
                return "it failed, and nobody knows why"
            if place.count(data):
                return "it failed, and arrived"
            machine.emulator.clear_faults()
            live.to_go_up()
            machine.writing.settler.touched(live.draft.place.folder)
            await until(lambda: machine.rests, 30.0, machine.what_is_left)
        await machine.look_again(place.path)
        if await machine.read(path) != data:
            return "other bytes are seen"
    machine.emulator.clear_faults()
    wrong = machine.emulator.control("GET", "violations")["violations"]
    if wrong:
        machine.emulator.reset()
        return f"wrong: {wrong}"
    if place.storages(data) != 1 or place.tips().get(name) != sha256(data):
        return f"it went up {place.storages(data)} times: {place.live()}"
    return ""


async def try_route(machine: Machine, place: Place, route: str) -> None:
    problems = []
    for number, cell in enumerate(cells(route)):
        started = time.monotonic()
        try:
            problem = await try_cell(machine, place, cell, number)
        except AssertionError as error:
            problem = str(error)[:600]
        print(f"{time.monotonic() - started:5.1f} s  {cell}: {problem or 'right'}", flush=True)
        machine.emulator.clear_faults()
        if problem:
            problems.append(f"{cell}: {problem}")
    assert not problems, "\n".join(problems)


@pytest.mark.timeout(3600 if FULL else 120)
@pytest.mark.parametrize("route", UPLOAD_ROUTES)
def test_it_arrives_once_or_is_told(route, machine, place):
    run_fast(functools.partial(try_route, machine, place, route), within_s=3600, rate=RATE)


async def try_folders(machine: Machine, place: Place, route: str) -> None:
    problems = []
    for number, fault in enumerate(FAULTS):
        async with machine.on():
            path = f"{place.path}/folder {number}"
            if route == "folder_patch":
                await machine.mkdir(f"{place.path}/before {number}")
            machine.emulator.fault(**FAULTS[fault], route=route)
            error: Exception | None = None
            try:
                if route == "folder_patch":
                    await machine.rename(f"{place.path}/before {number}", path)
                else:
                    await machine.mkdir(path)
            except DriveError as refused:
                error = refused
            machine.emulator.clear_faults()
            if error is None:
                names = await machine.names(place.path)
                if f"folder {number}" not in names or f"before {number}" in names:
                    problems.append(f"{route} {fault}: at once {names}")
            await trio.sleep(RATE if fault == "late" else 0)
            await machine.look_again(place.path)
            names = await machine.names(place.path)
            there = f"folder {number}" in names
            if error is None and not there:
                problems.append(f"{route} {fault}: it was made, and is not there")
            if route == "folder_patch" and there == (f"before {number}" in names):
                problems.append(f"{route} {fault}: {names}")
    assert not problems, "\n".join(problems)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("route", ["folders_post", "folder_patch"])
def test_a_folder_is_made_once_or_refused(route, machine, place):
    run_fast(functools.partial(try_folders, machine, place, route), within_s=300, rate=RATE)
    assert machine.emulator.violations() == {}
