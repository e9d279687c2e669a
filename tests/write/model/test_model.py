"""The reference model of writing: random walks, each of a seed of its own."""

from __future__ import annotations

import functools
import os

import pytest

from dmfs.write.calls import permissions
from dmfs.write.settle.recording import name_table
from tests.write.model.machine import run_fast
from tests.write.model.place import Place
from tests.write.model.trouble import LAG_S
from tests.write.model.walk import THEIRS, Walk

SEEDS = int(os.environ.get("DMFS_WRITE_MODEL_SEEDS", "2"))
STEPS = int(os.environ.get("DMFS_WRITE_MODEL_STEPS", "30"))
FIRST = int(os.environ.get("DMFS_WRITE_MODEL_FIRST", "0"))
WALKS: dict[str, dict[str, int]] = {
    "alone": {},
    "restarts": {"restart": 2},
    "faults": {"fault": 4, "restart": 1},
    "others": {"theirs": 5},
    "all": {"theirs": 3, "fault": 3, "restart": 1, "offline": 1},
    "doubts": {"doubt": 4, "restart": 1},
    "levels": {"theirs": 5},
    "worst": {"doubt": 2, "theirs": 4, "fault": 2, "restart": 1},
}
LATER = ("doubts", "levels", "worst")
LONG = SEEDS > 2
TEAM = WALKS if LONG else ("alone",)
"""Kinds of walks in ``a.`` projects; the suite has little time."""
KINDS = [
    (kind, team, seed)
    for kind in WALKS
    if LONG or kind != "worst"
    for team in ((False, True) if kind in TEAM else (False,))
    for seed in range(FIRST, FIRST + (SEEDS if LONG or not (team or kind in LATER) else 1))
]


@pytest.mark.parametrize(("kind", "team", "seed"), KINDS)
def test_a_walk(kind, team, seed, calm, machine, monkeypatch):
    # what an answer says is believed for ten minutes, whatever is listed: others delete, too
    monkeypatch.setattr(name_table, "LAG_S", LAG_S)
    monkeypatch.setattr(permissions, "REMEMBER_S", LAG_S)
    walk = Walk(machine, Place.new(calm, team=team), seed * 1009 + len(kind), **WALKS[kind])
    if kind in ("levels", "worst"):
        walk.changes = ("level",) * 4 + THEIRS
    rounds = 2 if LONG or kind not in LATER else 1
    run_fast(functools.partial(walk.run, rounds, STEPS), within_s=100.0)
