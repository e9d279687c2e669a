"""Fixtures of drives in this process over a real emulator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmfs.emulator.process import EmulatorProcess
from tests.write.model.machine import ADA, Machine
from tests.write.model.place import Place


@pytest.fixture
def place(calm: EmulatorProcess) -> Place:
    return Place.new(calm)


@pytest.fixture
def machine(calm: EmulatorProcess, tmp_path: Path) -> Machine:
    return Machine(calm, tmp_path / "ada")


@pytest.fixture
def make_machine(calm: EmulatorProcess, tmp_path: Path) -> Callable[..., Machine]:
    def make(name: str, user: str = ADA, **more: Any) -> Machine:
        return Machine(calm, tmp_path / name, user, **more)

    return make
