"""A process with a drive that is killed at a point of its work: ``python -m … ORDER`` with a JSON
text. Prints a line for each thing that a program was told is done, and for each point that it
passes."""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dmfs.write import opening
from dmfs.write.records import Change
from dmfs.write.spool.spool import Spool
from dmfs.write.upload.ports import Hooks
from tests.write.model.machine import Machine, run_fast

RATE = 4.0
OLD, OURS, MORE = b"old " * 50, b"ours " * 60, b"more " * 70
F, G, H, I = "Plan.dwg", "Elevation.dwg", "Section.dwg", "Notes.txt"  # noqa: E741


def say(*words: object) -> None:
    os.write(1, (json.dumps(words) + "\n").encode())


class Points:
    """Counts what is passed, and dies at one of them."""

    def __init__(self, at: Sequence[Any] | None) -> None:
        self._at = None if at is None else tuple(at)
        self._passed: Counter[str] = Counter()

    def passed(self, name: str) -> None:
        self._passed[name] += 1
        say("point", name, self._passed[name])
        if self._at == (name, self._passed[name]):
            os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """The uploader's, and each commit of the journal."""
        joins: Any = opening
        joins.Hooks = functools.partial(Hooks, failpoint=self.passed)
        spools: Any = Spool
        commit = Spool.commit

        async def counted(
            spool: Spool, changes: Sequence[Change], *, durable: bool = False
        ) -> None:
            kinds = "+".join(sorted({each.kind for each in changes} - {"upload"}))
            if kinds:
                self.passed(f"{kinds} before")
            await commit(spool, changes, durable=durable)
            if kinds:
                self.passed(f"{kinds} after")

        spools.commit = counted


async def scene(machine: Machine, path: str, name: str) -> None:
    """What programs do."""

    async def done(*what: str) -> None:
        say("done", *what)

    if name == "new":
        await machine.save(f"{path}/{I}", OURS)
        await done("saved", I)
    elif name == "version":
        await machine.save(f"{path}/{F}", OURS)
        await done("saved", F)
    elif name == "names":
        await machine.rename(f"{path}/{F}", f"{path}/{G}")
        await done("renamed", F, G)
        await machine.unlink(f"{path}/{H}")
        await done("unlinked", H)
        await machine.save(f"{path}/{I}", OURS)
        await done("saved", I)
    elif name == "dance":
        await machine.rename(f"{path}/{F}", f"{path}/{F}~")
        await machine.save(f"{path}/{F}", OURS)
        await done("saved", F)
        await machine.unlink(f"{path}/{F}~")
    elif name == "renamed":
        await machine.save(f"{path}/{F}", OURS)
        await done("saved", F)
        await machine.rename(f"{path}/{F}", f"{path}/{G}")
        await done("renamed", F, G)


async def work(order: dict[str, Any]) -> None:
    emulator = SimpleNamespace(api_url=order["api_url"])
    machine = Machine(emulator, Path(order["directory"]), signs_in=False)  # type: ignore[arg-type]
    async with machine.on():
        await machine.names(order["path"])
        await scene(machine, order["path"], order["scene"])
        await machine.comes_to_rest(20)
    say("rests")


def main() -> None:
    order = json.loads(sys.argv[1])
    Points(order["at"]).watch()
    run_fast(functools.partial(work, order), rate=RATE)


if __name__ == "__main__":
    main()
