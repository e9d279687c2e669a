"""One neighbour, let loose: a world, a fresh cache, a mount, a person beside it, and the counts."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from dmfs.emulator.process import EmulatorProcess
from dmfs.emulator.world.catalog import make_world
from dmfs.emulator.world.content import hex_digest
from dmfs.emulator.world.model import Storage
from tests.desktop.neighbours import counting
from tests.desktop.neighbours.programs import Neighbour, Place
from tests.desktop.neighbours.rows import Person, Row
from tests.desktop.neighbours.session import Session
from tests.support.fixtures import running_emulator
from tests.support.mounts import Drive, dmfs_command

FOLDERS, FILES = 100, 10_000
SMALL = "small:files=150,min=50000,max=400000"
"""What the person reads: 34 MB, so that it lasts for a run."""
WORLD = f"levels:folders={FOLDERS},files={FILES}+{SMALL}"
ALL_FOLDERS = FOLDERS + 5
"""With the top folders of the project, ``levels`` and ``small``."""
TOP = "Bench/Bench Project/Project Files"
PLACE = "/var/tmp"
"""GNOME's index leaves out what is below /tmp."""
PERSONS_PAUSE_S = 0.2
LEAST_S = 8.0
LOOK_S = 60.0
LINK = {"api_latency_ms": 150, "cdn_latency_ms": 40, "cdn_mb_per_s": 20}
"""As at the trial of the desktop; rate limits as published."""


@cache
def persons_files() -> dict[str, str]:
    """SHA-256 by the file's name; the emulator's world is the same on each start."""
    return {name: hex_digest(storage.content, "sha256") for name, storage in _small().items()}


@cache
def persons_marks() -> tuple[str, ...]:
    """What tells the person's objects in the paths of signings (the object's key) and of GETs (a
    hash of its urn)."""
    urns = [storage.urn for storage in _small().values()]
    hashes = [hashlib.sha256(urn.encode()).hexdigest()[6:40] for urn in urns]
    return (*(urn.rpartition("/")[2] for urn in urns), *hashes)


@cache
def _small() -> dict[str, Storage]:
    found: dict[str, Storage] = {}
    for item in make_world(SMALL).items.values():
        storage = item.versions[-1].storage
        assert storage is not None
        found[item.versions[-1].name or ""] = storage
    return found


@contextmanager
def world() -> Iterator[EmulatorProcess]:
    with running_emulator(
        world=WORLD, rate_limits="published", start_timeout_s=120.0, **LINK
    ) as emulator:
        yield emulator


@contextmanager
def watched(drive: Drive, into: Path) -> Iterator[None]:
    """The drive's events, in a file."""
    with into.open("wb") as file:
        child = subprocess.Popen(
            [*dmfs_command(), "events", "-f", str(drive.point)],
            env=drive.home.environment(), stdin=subprocess.DEVNULL, stdout=file,
        )  # fmt: skip
        time.sleep(1.0)  # until it listens
        try:
            yield
        finally:
            child.terminate()
            child.wait(20)


@contextmanager
def person(drive: Drive, directory: Path, found: Person) -> Iterator[None]:
    """A person's program, who reads and lists until the end; what it saw is in ``found`` then."""
    folders = [drive.path(TOP, "levels", f"Level {number:03d}") for number in range(FOLDERS)]
    order = directory / "order.json"
    files = {drive.path(TOP, "small", name): sha for name, sha in persons_files().items()}
    order.write_text(
        json.dumps({"files": files, "folders": folders[:20], "pause_s": PERSONS_PAUSE_S})
    )
    child = subprocess.Popen(
        [sys.executable, "-IS", str(Path(__file__).with_name("person.py")), str(order)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        yield
    finally:
        try:
            out, _ = child.communicate(timeout=LOOK_S)
            vars(found).update(json.loads(out))
        except (subprocess.TimeoutExpired, ValueError):
            child.kill()
            child.wait()
            found.errors.append(f"it hung for {LOOK_S:g} s, or died")


def look_at_all(drive: Drive) -> list[Path]:
    """All folders, listed as ``find`` does, so that they are known."""
    models = Path(drive.path(TOP, "levels"))
    subprocess.run(["find", models], stdout=subprocess.DEVNULL, timeout=LOOK_S * 3, check=True)
    return [models / f"Level {number:03d}" for number in range(FOLDERS)]


def let_loose(
    neighbour: Neighbour, emulator: EmulatorProcess, seconds: float, *, types: bool
) -> Row:
    """One run. ``types``: with our list of types, thumbnailer and menus in its home."""
    with tempfile.TemporaryDirectory(
        prefix="dmfs-near-", dir=PLACE, ignore_cleanup_errors=True
    ) as at:
        directory = Path(at)
        # as a user has it: polls and limits are what they are from the start
        config: dict[str, Any] = {"poll": 30, "rates": ""}
        with Drive(directory / "drive", emulator, config=config, log_level="info") as drive:
            if neighbour.known:
                look_at_all(drive)
            emulator.reset()
            longest_s = max(seconds, neighbour.least_s)
            return _with_drive(neighbour, emulator, drive, directory, longest_s, types)


def _with_drive(
    neighbour: Neighbour, emulator: EmulatorProcess, drive: Drive, directory: Path,
    seconds: float, types: bool,
) -> Row:  # fmt: skip
    models = Path(drive.path(TOP, "levels"))
    session = Session(directory / "session", drive.home.environment())
    events, beside = directory / "events", Person()
    try:
        if types:
            session.run(*dmfs_command(), "desktop", "install", "--user")
        if neighbour.bus:
            session.bus()
        if neighbour.screen:
            session.screen()
        folders = [models / f"Level {number:03d}" for number in range(FOLDERS)]
        place = Place(session, models, folders, seconds)
        with watched(drive, events), person(drive, directory, beside):
            started = time.monotonic()
            ended = neighbour.run(place)
            took_s = time.monotonic() - started
            # a person is beside it for a while, and what it began goes on
            time.sleep(max(LEAST_S - took_s, 1.0))
        calls = emulator.calls()
        asked = counting.seen(events.read_text("utf-8", "replace").splitlines())
        if not (asked.walked or asked.opened or asked.refused):
            _tell(session.logs)
    finally:
        session.close()
    cost = counting.spent(calls, persons_marks())
    print(f"  {neighbour.name}: calls {dict(asked.calls)}, events lost {asked.dropped}", flush=True)
    return Row(
        neighbour.name, neighbour.known, round(took_s, 1), ended,
        **vars(cost),
        opened=dict(asked.opened), refused=dict(asked.refused), walked=dict(asked.walked),
        allowed=neighbour.signings, persons=neighbour.persons, person=beside,
    )  # fmt: skip


def _tell(logs: Path) -> None:
    """What the programs said, where a run came to nothing."""
    for log in sorted(logs.iterdir()):
        print(f"  {log.name}: {log.read_text('utf-8', 'replace')[-1500:]}", flush=True)
