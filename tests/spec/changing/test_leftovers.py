"""Which spool a process takes: what others have left goes up with it."""

from __future__ import annotations

import fcntl
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from dmfs.errors import SetupError, SpoolTakenError
from dmfs.write.care import leftovers
from dmfs.write.care.journalled import Journalled
from dmfs.write.care.leftovers import first_free
from dmfs.write.care.rows import FILE, Row
from dmfs.write.records import State


class Spools:
    """Stands for journals, and for who opens spools."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.states: dict[int, State] = {}
        self.taken: set[int] = set()
        self._locks = ExitStack()

    def add(self, number: int, state: State | None = None, *, runs: bool = False) -> None:
        directory = self.place / str(number)
        directory.mkdir()
        lock = directory / "lock"
        lock.write_text("4194000 fsspec" if runs or state else "")
        if runs:
            file = self._locks.enter_context(lock.open("rb"))
            fcntl.flock(file, fcntl.LOCK_EX)
            self.taken.add(number)
        if state is not None:
            self.states[number] = state

    def look(self, directory: Path, **_: Any) -> Any:
        state = self.states.get(int(directory.name))
        if state is None:
            return None
        rows = [Row("/a", FILE, state)]
        return type("Journal", (), {"report": type("Report", (), {"rows": rows})})

    def open(self, directory: Path) -> Any:
        number = int(directory.name)
        if number in self.taken:
            raise SpoolTakenError("another process has it")
        self.taken.add(number)
        return number

    def first(self) -> Any:
        return first_free(self.place, self.open, "me")


@pytest.fixture
def spools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    made = Spools(tmp_path)
    monkeypatch.setattr(Journalled, "look", made.look)
    yield made
    made._locks.close()


def test_what_waits_is_taken_before_a_spool_of_a_smaller_number(spools: Spools) -> None:
    spools.add(0)
    spools.add(1, State.FAILED)  # for a person
    spools.add(2, State.WAITING, runs=True)
    spools.add(3, State.UPLOADING)
    spools.add(5, State.WAITING)
    assert [spools.first() for _ in range(5)] == [3, 5, 0, 1, 4]


def test_there_are_so_many_and_no_more(spools: Spools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "SPOOLS_MAX", 3)
    assert [spools.first() for _ in range(3)] == [0, 1, 2]
    with pytest.raises(SetupError, match="3 processes of this profile write"):
        spools.first()
