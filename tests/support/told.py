"""What a job told, as its reader has it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import trio

from dmfs.drive import Drive
from dmfs.jobs.table import JOBS


class Told:
    """Takes events as a door does: one at a time, and each must go into a line of JSON."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._busy = False

    async def __call__(self, event: Mapping[str, Any]) -> None:
        assert not self._busy, "two tasks told at once"
        self._busy = True
        line = json.dumps(event)
        await trio.lowlevel.checkpoint()
        assert "\n" not in line
        self.events.append(json.loads(line))
        self._busy = False

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Events of one kind, in their order."""
        return [event for event in self.events if event["event"] == kind]

    @property
    def last(self) -> dict[str, Any]:
        return self.events[-1]


async def run_job(drive: Drive, verb: str, told: Told | None = None, **parameters: Any) -> Told:
    """Run a job to its end; its error is raised."""
    told = told or Told()
    await JOBS[verb](drive, parameters, told)
    return told
