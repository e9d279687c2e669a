"""A process that works with a spool until it is killed, and what it should leave behind.

As a script it waits for orders on stdin (DIRECTORY SEED EVENT AFTER DELAY MODE), forks a child for
each (so that imports cost nothing), kills it DELAY seconds after its step number AFTER if that is
not negative, and answers with how it ended. In the child each write, fdatasync, rename and commit
counts two events, before and after: at number EVENT it kills itself. After each step it notes that
its caller has the answer.

MODE ``power``: what is durable is copied beside the directory at each moment when it becomes so.
"""

from __future__ import annotations

import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio

from dmfs.write.records import Change, DraftId
from dmfs.write.spool.journal import Journal
from dmfs.write.spool.snapshot import Confirmed
from dmfs.write.spool.spool import Spool
from tests.write.spool.spooling import BASE, draft_row, open_spool, read_base, small_units

Step = tuple[Any, ...]
State = tuple[dict[str, bytes], int]
"""Confirmed bytes by draft, and the number in a row."""
STEPS = 16
DURABLE = {"confirm", "remove", "discard"}
WATCHED = ("pwritev", "pwrite", "fdatasync", "fsync", "ftruncate", "unlink", "rename", "replace")


def steps_of(seed: int, drafts: list[str]) -> list[Step]:
    """What one life does, beginning with these drafts."""
    chance = random.Random(seed)
    there = list(drafts)
    found: list[Step] = []
    for number in range(STEPS):
        if not there or (chance.random() < 0.15 and len(there) < 4):
            there.append(f"{seed:016x}{number:016x}")
            found.append(("create", there[-1]))
        draft, verb = chance.choice(there), chance.random()
        if verb < 0.42:
            data = chance.randbytes(chance.choice([5, 40, 90, 300]))
            found.append(("write", draft, chance.randrange(400), data))
        elif verb < 0.72:
            found.append(("confirm", draft, chance.randrange(1000)))
        elif verb < 0.80:
            found.append(("truncate", draft, chance.randrange(500)))
        elif verb < 0.86:
            found.append(("start_over", draft, chance.choice([0, 0, 200])))
        elif verb < 0.92:
            found.append(("tend", draft))
        elif verb < 0.96:
            found.append(("commit", draft, chance.randrange(1000)))
        else:
            there.remove(draft)
            found.append((chance.choice(["remove", "discard"]), draft, chance.randrange(1000)))
    return found


def states_of(steps: list[Step], start: State) -> list[State]:
    """What is confirmed before the first step and after each. Pure."""
    confirmed, row = dict(start[0]), start[1]
    now = {draft: bytearray(data) for draft, data in confirmed.items()}
    found: list[State] = [(dict(confirmed), row)]
    for verb, draft, *rest in steps:
        if verb == "create":
            now[draft] = bytearray()
        elif verb == "write":
            offset, data = rest
            now[draft].extend(bytes(max(0, offset - len(now[draft]))))
            now[draft][offset : offset + len(data)] = data
        elif verb == "truncate":
            del now[draft][rest[0] :]
            now[draft].extend(bytes(rest[0] - len(now[draft])))
        elif verb == "start_over":
            now[draft] = bytearray(BASE[: rest[0]])
        elif verb == "confirm":
            confirmed[draft], row = bytes(now[draft]), rest[0]
        elif verb == "commit":
            row = rest[0]
        elif verb in ("remove", "discard"):
            confirmed.pop(draft, None)
            row = rest[0]
        found.append((dict(confirmed), row))
    return found


async def state_of(spool: Spool) -> State:
    """What a spool has."""
    found = {}
    for draft in spool.rows.get("content", {}):
        content = spool.content(DraftId(draft))
        assert content is not None
        found[draft] = await content.read(0, 10_000, read_base)
        snapshot = content.snapshot()
        assert await snapshot.read(0, snapshot.size_bytes, read_base) == found[draft]
        content.release(snapshot)
    row = spool.rows.get("name", {}).get("row")
    return found, 0 if row is None else int(row.record["number"])


def _rows(draft: str, row: list[Change], _: Confirmed) -> list[Change]:
    return [draft_row(DraftId(draft)), *row]


async def live(directory: Path, seed: int, report: int) -> None:
    """One life."""
    spool = open_spool(directory)
    drafts = sorted(spool.rows.get("content", {}))
    for number, (verb, draft, *rest) in enumerate(steps_of(seed, drafts), 1):
        row = [Change("name", "row", {"number": rest[0]})] if verb in {*DURABLE, "commit"} else []
        content = spool.content(DraftId(draft))
        if verb == "create":
            spool.create(DraftId(draft))
        elif verb == "commit":
            await spool.commit(row)
        elif verb in ("remove", "discard"):
            await getattr(spool, verb)(DraftId(draft), row)
        else:
            assert content is not None
            if verb == "write":
                await content.write(rest[0], rest[1], mtime_ns=seed)
            elif verb == "truncate":
                await content.truncate(rest[0], mtime_ns=seed)
            elif verb == "start_over":
                content.start_over(rest[0])
            elif verb == "tend":
                await spool.tend()
            elif content.dirty:
                await content.confirm(functools.partial(_rows, draft, row))
            else:
                await spool.commit(row, durable=True)
        os.write(report, b"%d\n" % number)
    await spool.close()


# The killing


def _watch(event: int, durable: Path | None) -> None:
    """Count events; die at that number."""
    seen = [0]

    def count() -> None:
        seen[0] += 1
        if seen[0] == event:
            os.kill(os.getpid(), signal.SIGKILL)

    def watched(name: str, call: Any) -> Any:
        @functools.wraps(call)
        def run(*args: Any, **kwargs: Any) -> Any:
            count()
            if name == "pwritev" and seen[0] + 1 == event:  # torn
                data = b"".join(args[1])
                os_pwrite(args[0], data[: len(data) // 2], args[2])
                count()
            result = call(*args, **kwargs)
            if durable is not None and name in ("fdatasync", "fsync"):
                _note_sync(args[0], durable)
            count()
            return result

        return run

    os_pwrite = os.pwrite
    for name in WATCHED:
        setattr(os, name, watched(name, getattr(os, name)))
    run, commit = Journal._run, Journal.commit

    def counted(self: Journal, db: Any, statement: str) -> None:
        count()
        run(self, db, statement)
        count()

    def noted(self: Journal, *args: Any, durable: bool) -> None:
        commit(self, *args, durable=durable)
        assert self._db is not None
        is_full = self._db.execute("PRAGMA synchronous").fetchone()[0] >= 2
        if copies is not None and is_full:
            _note_journal(self.path, copies)
        count()

    copies = durable
    Journal._run = counted  # type: ignore[method-assign]
    Journal.commit = noted  # type: ignore[method-assign, assignment]


def _note_sync(descriptor: int, durable: Path) -> None:
    """What became durable: the length of a file, or the names in a directory."""
    path = Path(f"/proc/self/fd/{descriptor}").readlink()
    names = sorted(each.name for each in path.iterdir()) if path.is_dir() else None
    found = os.fstat(descriptor).st_size if names is None else names
    with (durable / "log").open("a", encoding="utf-8") as file:
        file.write(json.dumps([str(path), found]) + "\n")


def _note_journal(path: Path, durable: Path) -> None:
    """The copy that is there is always a whole one."""
    number = len(list(durable.glob("journal-*")))
    fresh = durable / "fresh"
    fresh.mkdir(exist_ok=True)
    for ending in ("", "-wal"):
        shutil.copy(f"{path}{ending}", fresh / f"journal.db{ending}")
    fresh.rename(durable / f"journal-{number:04}")


def _child(directory: Path, seed: int, event: int, mode: str) -> None:
    class Patch:
        def setattr(self, place: Any, name: str, value: Any) -> None:
            setattr(place, name, value)

    small_units(Patch())  # type: ignore[arg-type]
    durable = directory.with_name(f"{directory.name}.durable") if mode == "power" else None
    if durable is not None:
        durable.mkdir(exist_ok=True)
    report = os.open(f"{directory}.report", os.O_WRONLY | os.O_APPEND)
    _watch(event, durable)
    trio.run(live, directory, seed, report)


def serve() -> None:
    """Take orders until stdin ends."""
    for line in sys.stdin:
        place, seed, event, after, delay, mode = line.split()
        report = Path(f"{place}.report")
        report.write_bytes(b"")
        child = os.fork()
        if child == 0:
            try:
                _child(Path(place), int(seed), int(event), mode)
                os._exit(0)
            finally:
                traceback.print_exc()
                os._exit(1)
        if int(after) >= 0:
            give_up = time.monotonic() + 20
            while len(report.read_bytes().split()) < int(after) and time.monotonic() < give_up:
                time.sleep(0.0005)
            time.sleep(float(delay))
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


# The other side


class Victims:
    """Gives orders; each returns what its caller was told last: the number of a step."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.write.spool.crashing"], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def run(
        self, directory: Path, seed: int, event: int = 0, after: int = -1, delay: float = 0.0,
        mode: str = "kill",
    ) -> tuple[int, bool]:  # fmt: skip
        """The last step that came to its end, and whether all did."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        print(directory, seed, event, after, delay, mode, file=stdin, flush=True)
        code = int(stdout.readline())
        assert code in (0, -signal.SIGKILL), "the child failed by itself"
        report = Path(f"{directory}.report")
        lines = report.read_text().split() if report.exists() else []
        return int(lines[-1]) if lines else 0, code == 0

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        assert self._process.wait(30) == 0
        self._process.stdout.close()


@contextmanager
def victims() -> Iterator[Victims]:
    found = Victims()
    try:
        yield found
    finally:
        found.end()


if __name__ == "__main__":
    serve()
