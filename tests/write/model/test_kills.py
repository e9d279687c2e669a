"""Killed at each point of saving and uploading, with what a drive does around it: after a restart
exactly one version, no other names, no rename or deletion lost."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.helpers import CHILD_ENVIRONMENT
from tests.write.model.killed import OLD, OURS, F, G, H, I
from tests.write.model.machine import Machine, run_fast
from tests.write.model.place import Place, sha256

FULL = os.environ.get("DMFS_WRITE_KILLS", "") == "full"
SHARE = 25
"""Of the points so many share one that the suite looks at."""
SCENES = ("new", "version", "names", "dance", "renamed")


def child(machine: Machine, place: Place, scene: str, at: Any) -> list[list[Any]]:
    """What it said until it ended."""
    order = {
        "api_url": machine.emulator.api_url, "directory": str(machine.home),
        "path": place.path, "scene": scene, "at": at,
    }  # fmt: skip
    ended = subprocess.run(
        [sys.executable, "-m", "tests.write.model.killed", json.dumps(order)],
        env=CHILD_ENVIRONMENT, capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    said = [json.loads(line) for line in ended.stdout.splitlines()]
    if at is None:
        assert ended.returncode == 0, ended.stderr.decode()[-3000:]
    return said


def before(place: Place) -> dict[str, str]:
    """Name → item."""
    return {name: place.add(name, OLD + name.encode()) for name in (F, H)}


def wanted(done: list[list[str]]) -> dict[str, bytes]:
    """What the folder has to be after what was done."""
    files = {F: OLD + F.encode(), H: OLD + H.encode()}
    for what, *names in done:
        if what == "saved":
            files[names[0]] = OURS
        elif what == "renamed":
            files[names[1]] = files.pop(names[0])
        else:
            del files[names[0]]
    return files


async def check(machine: Machine, place: Place, scene: str, said: list[list[Any]]) -> str:
    """'' or what is wrong."""
    done = [words[1:] for words in said if words[0] == "done"]
    async with machine.on():
        await machine.names(place.path)
        await machine.comes_to_rest(25)
        await machine.look_again(place.path)
        names = await machine.names(place.path)
        shown = {name: await machine.read(f"{place.path}/{name}") for name in names}
    possible = [wanted(done)]
    everything = complete(scene)
    if len(done) < len(everything):  # what was under way may be done, too
        possible.append(wanted(everything[: len(done) + 1]))
    if scene == "dance":
        backup = {f"{F}~": OLD + F.encode(), H: OLD + H.encode()}
        possible.append(backup | {F: OURS} if done else backup)
    if shown not in possible:
        return f"{names} after {done}"
    if f"{F}~" in shown:  # a save that was cut: the service has the file, and no backup of it
        shown.setdefault(F, shown.pop(f"{F}~"))
    if place.tips() != {name: sha256(data) for name, data in shown.items()}:
        return f"the service has {place.live()}"
    if place.storages(OURS) != (OURS in shown.values()):
        return f"it went up {place.storages(OURS)} times"
    return ""


def complete(scene: str) -> list[list[str]]:
    return {
        "new": [["saved", I]],
        "version": [["saved", F]],
        "names": [["renamed", F, G], ["unlinked", H], ["saved", I]],
        "dance": [["saved", F]],
        "renamed": [["saved", F], ["renamed", F, G]],
    }[scene]


@pytest.mark.timeout(3600 if FULL else 120)
@pytest.mark.parametrize("scene", SCENES)
def test_one_version_and_no_other_name(scene: str, make_machine, calm, tmp_path: Path) -> None:
    place = Place.new(calm)
    before(place)
    said = child(make_machine("whole"), place, scene, None)
    assert said[-1] == ["rests"]
    points = [words[1:] for words in said if words[0] == "point"]
    problems = []
    for number, at in enumerate(points if FULL else points[SCENES.index(scene) :: SHARE]):
        place, machine = Place.new(calm), make_machine(f"killed {number}")
        items = before(place)
        said = child(machine, place, scene, at)
        if said[-1] == ["rests"]:
            continue  # another order of things: that point was not passed
        problem = run_checked(machine, place, scene, said)
        if not problem and F in place.live() and place.item(F) != items[F]:
            problem = "another item"
        wrong = calm.control("GET", "violations")["violations"]
        if problem or wrong:
            problems.append(f"{at}: {problem} {wrong}")
            calm.reset()
        print(
            f"{scene} {at}, one of {len(points)} points: {problem or wrong or 'right'}", flush=True
        )
    assert not problems, "\n".join(problems)


def run_checked(machine: Machine, place: Place, scene: str, said: list[list[Any]]) -> str:
    found = []

    async def main() -> None:
        found.append(await check(machine, place, scene, said))

    try:
        run_fast(functools.partial(main), within_s=60)
    except AssertionError as error:
        return str(error)[:500]
    return found[0]
