"""Recognising walkers, and what they will want next."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.prefetch.tree_walk import PAUSE_S, WalkPlanner


class SampleTree:
    """A made-up tree, of which some directories are listed."""

    def __init__(self, seed: int, size: int) -> None:
        dice = random.Random(seed)
        self.above = {"d0": ""}
        for number in range(1, size):
            self.above[f"d{number}"] = f"d{dice.randrange(number)}"
        self.below: dict[str, list[str]] = {name: [] for name in self.above}
        for name, parent in self.above.items():
            if parent:
                self.below[parent].append(name)
        self.listed: set[str] = set()
        self._inside: dict[str, dict[str, None]] = {}

    def chain(self, name: str) -> list[str]:
        found = [name]
        while self.above[found[0]]:
            found.insert(0, self.above[found[0]])
        return found

    def inside(self, name: str) -> dict[str, None] | None:
        if name not in self.listed:
            return None
        if list(self._inside.get(name, [""])) != self.below[name]:
            self._inside[name] = dict.fromkeys(self.below[name])
        return self._inside[name]

    def preorder(self, name: str = "d0", *, backwards: bool = False) -> Iterator[str]:
        yield name
        for child in reversed(self.below[name]) if backwards else self.below[name]:
            yield from self.preorder(child, backwards=backwards)


def walk_over(tree: SampleTree, order: list[str], pause_s: float = 0.1, at_once: int = 8):
    """Walk, listing ahead what the planner says; how many opens found nothing ready."""
    planner: WalkPlanner[str] = WalkPlanner(tree.inside)
    now, waited, ahead = 0.0, 0, set()
    for name in order:
        walk = planner.on_open(tree.chain(name), now)
        waited += name not in tree.listed
        tree.listed.add(name)
        ahead.discard(name)
        planner.on_answer(walk, now)
        if walk.recognised:
            for number, found in enumerate(planner.upcoming(walk)):
                if number >= at_once:
                    break
                ahead.add(found)
            tree.listed |= ahead
        now += pause_s
    return waited, ahead


@given(st.integers(0, 1000), st.integers(5, 80), st.booleans())
def test_a_walk_finds_everything_listed_and_wastes_nothing(seed, size, backwards):
    tree = SampleTree(seed, size)
    order = list(tree.preorder(backwards=backwards))
    waited, left = walk_over(tree, order)
    assert left == set()
    assert waited <= 5  # the first few, until it is known to be a walk


@given(st.integers(0, 1000), st.integers(1, 60))
def test_a_walk_of_a_part_asks_for_nothing_beside_it(seed, size):
    tree = SampleTree(seed, size + 5)
    top = random.Random(seed).choice(sorted(tree.above))
    tree.listed |= set(tree.chain(top)[:-1])
    part = list(tree.preorder(top))
    before = set(tree.listed)
    walk_over(tree, part)
    assert tree.listed - before <= set(part)


@given(st.integers(0, 1000), st.integers(5, 60))
def test_a_person_triggers_nothing(seed, size):
    """Two directories in a hurry, or any number at leisure."""
    tree = SampleTree(seed, size)
    order = list(tree.preorder())
    walk_over(tree, order[:2])
    assert tree.listed <= set(order[:2])
    walk_over(tree, order[: size // 2], pause_s=PAUSE_S * 1.5)
    assert tree.listed <= set(order[: max(2, size // 2)])


def test_one_who_goes_down_a_path_triggers_nothing_at_three():
    tree = SampleTree(0, 1)
    tree.above |= {"a": "d0", "b": "a", "x": "d0", "y": "x"}
    tree.below |= {"d0": ["a", "x"], "a": ["b"], "b": [], "x": ["y"], "y": []}
    walk_over(tree, ["d0", "a", "b"])
    assert tree.listed == {"d0", "a", "b"}


def test_a_file_manager_that_counts_entries_gets_one_level():
    """Opens a directory and each in it, nothing deeper: what lies deeper is left alone."""
    tree = SampleTree(0, 1)
    for one in "abcdefgh":
        tree.above[one], tree.below[one] = "d0", [one * 2]
        tree.above[one * 2], tree.below[one * 2] = one, []
        tree.below["d0"].append(one)
    walk_over(tree, ["d0", *"abcdefgh"])
    assert not tree.listed & {one * 2 for one in "cdefgh"}


@given(st.integers(0, 1000), st.integers(5, 80))
def test_a_walker_that_goes_level_by_level_wastes_nothing(seed, size):
    tree = SampleTree(seed, size)
    order = sorted(tree.preorder(), key=lambda name: len(tree.chain(name)))
    _, left = walk_over(tree, order)
    assert left == set()


class CountedFolder(dict[str, None]):
    """Counts the names that are looked at one after the other."""

    steps = 0

    def __iter__(self) -> Iterator[str]:
        for name in super().__iter__():
            self.steps += 1
            yield name

    def __reversed__(self) -> Iterator[str]:
        for name in super().__reversed__():
            self.steps += 1
            yield name


def steps_of_a_walk(size: int, *, backwards: bool = False) -> int:
    names = [f"d{number}" for number in range(size)]
    top, empty = CountedFolder(dict.fromkeys(names)), CountedFolder()
    listed = {"top"}

    def inside(name: str) -> CountedFolder | None:
        return (top if name == "top" else empty) if name in listed else None

    planner: WalkPlanner[str] = WalkPlanner(inside)
    for chain in [["top"], *(["top", name] for name in (names[::-1] if backwards else names))]:
        walk = planner.on_open(chain, 0.0)
        listed.add(chain[-1])
        planner.on_answer(walk, 0.0)
        deque(islice(planner.upcoming(walk), 8), maxlen=0)
    return top.steps


@pytest.mark.parametrize("backwards", [False, True])
def test_a_walk_costs_as_many_steps_as_there_are_folders(backwards: bool) -> None:
    few = steps_of_a_walk(300, backwards=backwards)
    many = steps_of_a_walk(3000, backwards=backwards)
    assert few > 0
    assert many <= 12 * few
