"""Indexers' names wait behind all others; a person's do not, nor do their reads."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dmfs.fuse.attributes import Ownership
from dmfs.fuse.operations import Operations
from dmfs.fuse.request import request
from dmfs.model import Directory, Root
from dmfs.neighbours.table import Kind
from dmfs.ratelimit.limits import Priority
from dmfs.ratelimit.priority import current_priority
from dmfs.telemetry.processes import Process
from tests.support.helpers import virtual
from tests.support.made_drives import a_drive


class _Door(Operations):
    levels: list[Priority]

    @request()
    async def other(self, ctx: Any) -> None:
        self.levels.append(current_priority().level)


@pytest.mark.parametrize("kind", [None, *Kind])
@virtual
async def test_names_of_indexers_and_thumbnailers_are_asked_for_last(
    kind: Kind | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels: list[Priority] = []

    async def child(_directory: Directory, _name: str) -> None:
        levels.append(current_priority().level)

    drive = a_drive()
    monkeypatch.setattr(drive.parts.listings, "child", child, raising=False)
    views = SimpleNamespace(folds=None)
    monkeypatch.setattr(drive.parts.listings, "views", views, raising=False)
    door = _Door(drive, Root(), Ownership(0, 0))
    door.levels = levels
    who = Process(7, "somebody", kind)
    door.process_of = lambda arguments: who  # type: ignore[method-assign]
    await door.lookup(1, b"x", None)
    await door.other(None)
    assert levels == [Priority.POLL if kind else Priority.LOOKUP, Priority.LOOKUP]
