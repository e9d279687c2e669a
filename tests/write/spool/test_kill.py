"""kill -9 at every step of the spool, and at any moment: what was confirmed is there, whole."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

import pytest
import trio

from tests.write.spool.crashing import DURABLE, STEPS, State, state_of, states_of, steps_of, victims
from tests.write.spool.spooling import open_spool, small_units

pytestmark = pytest.mark.process

KILLS = int(os.environ.get("DMFS_SPOOL_KILLS", "20"))
"""At random moments; 300 in a night."""
SEEDS = (3,) if KILLS <= 20 else tuple(range(12))
"""Lives that are killed at each of their events."""


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    small_units(monkeypatch)


@pytest.fixture(scope="module")
def killer():
    with victims() as found:
        yield found


def recovered(directory: Path) -> State:
    """What the next start finds; it must be tidy."""

    async def look() -> State:
        spool = open_spool(directory)
        try:
            assert spool.damaged == ""
            return await state_of(spool)
        finally:
            await spool.close()

    found = trio.run(look)
    there = {each.name for each in directory.iterdir() if each.is_dir()} - {"discarded"}
    assert there <= set(found[0]), "a directory that nobody knows"
    for draft in there:
        assert len(list((directory / draft).glob("data*"))) <= 1
    return found


def check(found: State, states: list[State], first: int, last: int) -> None:
    """It is one of the states that it may be: at most one step beyond what was answered."""
    assert found in states[first : last + 2]


def lives(seed: int) -> tuple[list, list[State]]:
    steps = steps_of(seed, [])
    return steps, states_of(steps, ({}, 0))


@pytest.mark.parametrize("seed", SEEDS)
def test_killed_at_every_event(killer, tmp_path, seed):
    steps, states = lives(seed)
    event, done = 0, False
    while not done:
        event += 1
        directory = tmp_path / str(event)
        last, done = killer.run(directory, seed, event)
        check(recovered(directory), states, last, last)
    assert last == len(steps)
    assert event > 30, "the life has many events"


def test_killed_at_random_moments_life_after_life(killer, tmp_path):
    chance = random.Random(KILLS)
    directory, survived = tmp_path / "spool", 0
    state: State = ({}, 0)
    for seed in range(1000, 1000 + KILLS):
        states = states_of(steps_of(seed, sorted(state[0])), state)
        after = chance.randrange(STEPS)
        last, done = killer.run(directory, seed, after=after, delay=chance.uniform(0, 0.003))
        survived += done
        found = recovered(directory)
        check(found, states, last, last)
        state = found
    assert survived < KILLS


def after_power_loss(directory: Path, chance: random.Random) -> None:
    """Make the directory what a disk may have after the power went: only what was synced is sure;
    of the rest any part may be there."""
    durable = directory.with_name(f"{directory.name}.durable")
    names, lengths = {}, {}
    log = (durable / "log").read_text().splitlines() if (durable / "log").exists() else []
    for line in log:
        path, found = json.loads(line)
        if isinstance(found, list):
            names[path] = set(found)
        else:
            lengths[path] = found
    drafts = [each for each in directory.iterdir() if each.is_dir() and each.name != "discarded"]
    for place in drafts:
        entry = place.name in names.get(str(directory), ())
        for file in list(place.iterdir()):
            sure = entry and file.name in names.get(str(place), ())
            if not sure and chance.random() < 0.5:
                file.unlink()
                continue
            if file.name.startswith("data"):
                keep = lengths.get(str(file), 0)
                data = file.read_bytes()
                # behind what is durable: some of it, and some as if nobody had written it
                more = chance.randrange(len(data) - keep + 1)
                zeros = bytes(chance.randrange(20))
                file.write_bytes(data[: keep + more] + zeros if chance.random() < 0.5
                                 else data[:keep] + zeros)  # fmt: skip
        if not list(place.iterdir()):
            place.rmdir()
    copies = sorted(durable.glob("journal-*"))
    if not copies:
        for each in directory.glob("journal.db*"):
            each.unlink()
        return
    now, then = directory / "journal.db-wal", copies[-1] / "journal.db-wal"
    log_then = then.read_bytes()
    log_now = now.read_bytes() if now.exists() else b""
    if log_now[:32] == log_then[:32] and len(log_now) >= len(log_then):
        log_then = log_now[: chance.randint(len(log_then), len(log_now))]
    (directory / "journal.db").write_bytes((copies[-1] / "journal.db").read_bytes())
    now.write_bytes(log_then)
    (directory / "journal.db-shm").unlink(missing_ok=True)


@pytest.mark.parametrize("seed", range(100, 100 + max(KILLS // 2, 10)))
def test_the_power_goes(killer, tmp_path, seed):
    """What was confirmed is there also where the disk has nothing but what was synced."""
    chance = random.Random(seed)
    steps, states = lives(seed)
    for event in sorted(chance.sample(range(20, 160), 4)):
        directory = tmp_path / str(event)
        last, _ = killer.run(directory, seed, event, mode="power")
        sure = max((n for n in range(1, last + 1) if steps[n - 1][0] in DURABLE), default=0)
        after_power_loss(directory, chance)
        check(recovered(directory), states, sure, last)
