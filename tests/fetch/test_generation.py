"""What belongs to one content of an object."""

from __future__ import annotations

import pytest

from dmfs.fetch.generation import Generation, State
from dmfs.model import StorageId

WHOLE, LEFT, RIGHT = (0, 100), (0, 40), (40, 100)


def a_generation(**etags: str) -> Generation:
    stretches = {"whole": WHOLE, "left": LEFT, "right": RIGHT}
    known = {stretches[name]: etag for name, etag in etags.items()}
    return Generation(StorageId("urn:a"), 100, etags=known)


def test_the_first_get_of_a_new_one_decides() -> None:
    generation = a_generation()
    guard = generation.begin(WHOLE)
    assert guard is not None
    assert guard.admits('"a"')
    assert generation.etags() == {WHOLE: '"a"'}
    assert generation.begin(LEFT) is None, "not known whether it belongs here"


def test_a_new_one_accepts_what_is_at_rest() -> None:
    generation = a_generation()
    assert generation.accept({LEFT: "a", RIGHT: "b"}, has_blocks=True)
    assert generation.etags() == {LEFT: "a", RIGHT: "b"}


@pytest.mark.parametrize(("has_blocks", "state"), [(False, State.NEW), (True, State.UNPROVEN)])
def test_blocks_without_an_etag_are_to_be_compared(has_blocks: bool, state: State) -> None:
    generation = a_generation()
    assert generation.accept({}, has_blocks=has_blocks)
    assert generation.state is state
    assert (generation.begin(WHOLE) is None) is has_blocks


@pytest.mark.parametrize(
    ("known", "at_rest", "accepted"),
    [
        ({"whole": "a"}, {WHOLE: "a"}, True),
        ({"whole": "a"}, {WHOLE: "b"}, False),
        ({"whole": "a"}, {}, False),
        ({"left": "a"}, {LEFT: "a", RIGHT: "b"}, True),
        ({"left": "a", "right": "x"}, {LEFT: "a", RIGHT: "b"}, False),
        ({"left": "a"}, {RIGHT: "b"}, False),
        ({"left": "a"}, {WHOLE: "b"}, False),
    ],
)
def test_a_known_one_accepts_its_own_etags_alone(
    known: dict[str, str], at_rest: dict[tuple[int, int], str], accepted: bool
) -> None:
    generation = a_generation(**known)
    before = generation.etags()
    assert generation.accept(at_rest, has_blocks=True) is accepted
    assert generation.etags() == (before | at_rest if accepted else before)


def test_a_detached_one_accepts_nothing_and_has_one_successor() -> None:
    generation = a_generation(whole="a")
    successor = generation.detach({WHOLE: "b"})
    assert generation.detach({WHOLE: "c"}) is successor
    assert generation.state is State.DETACHED
    assert not generation.accept({WHOLE: "a"}, has_blocks=True)
    assert (successor.number, successor.etags()) == (1, {WHOLE: "b"})
