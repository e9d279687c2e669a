"""The reference model of writing: random walks, each of a seed of its own."""

from __future__ import annotations

import functools
import os

import pytest

from dmfs.write.settle.recording import name_table
from tests.write.model.machine import run_fast
from tests.write.model.walk import LAG_S, Walk

SEEDS = int(os.environ.get("DMFS_WRITE_MODEL_SEEDS", "2"))
STEPS = int(os.environ.get("DMFS_WRITE_MODEL_STEPS", "30"))
FIRST = int(os.environ.get("DMFS_WRITE_MODEL_FIRST", "0"))
WALKS = {
    "alone": {},
    "restarts": {"restart": 2},
    "faults": {"fault": 4, "restart": 1},
    "others": {"theirs": 5},
    "all": {"theirs": 3, "fault": 3, "restart": 1, "offline": 1},
}


@pytest.mark.parametrize("seed", range(FIRST, FIRST + SEEDS))
@pytest.mark.parametrize("kind", WALKS)
def test_a_walk(kind, seed, machine, place, monkeypatch):
    # what an answer says is believed for ten minutes, whatever is listed: others delete, too
    monkeypatch.setattr(name_table, "LAG_S", LAG_S)
    walk = Walk(machine, place, seed * 1009 + len(kind), **WALKS[kind])
    run_fast(functools.partial(walk.run, 2, STEPS), within_s=100.0)
