"""The tree at any moment of any history, against the record that the emulator keeps by itself."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dmfs.emulator.world.past import tree
from dmfs.model import Past, Project, ProjectId
from tests.support.helpers import in_virtual_time
from tests.support.near_service import names_of
from tests.support.past_trees import (
    TOLD_OPS,
    UNTOLD_OPS,
    History,
    Row,
    a_history,
    orders_of,
    recorded,
    shown,
)

OFFSETS_S = (-1.0, -0.25, 0.0, 0.25, 40.0)
"""Of a moment from that of a change."""


def moment_of(history: History, place: float, offset_s: float) -> float:
    """One near a change: microseconds, as the service's times have them."""
    moments = history.moments_s
    return round(moments[int(place * (len(moments) - 1))] + offset_s, 6)


def at(history: History, at_s: float) -> tuple[list[Row], dict[str, int]]:
    """What a new drive shows of that moment, and its calls."""
    project = history.project
    node = Project(
        ProjectId(project.id), project.hub.id, project.name,  # type: ignore[arg-type]
        root_folder_id=project.root.id,  # type: ignore[arg-type]
    )  # fmt: skip

    async def body() -> tuple[list[Row], dict[str, int]]:
        history.service.reset()
        async with names_of(history.service) as drive:
            rows = await shown(drive.listings, Past(node, round(at_s * 1e6) * 1000))
            calls = history.service.counts()
            assert await shown(drive.listings, Past(node, round(at_s * 1e6) * 1000)) == rows
            assert history.service.counts() == calls, "a second walk is free"
            return rows, calls

    found: tuple[list[Row], dict[str, int]] = in_virtual_time(body)
    return found


@pytest.mark.parametrize("team", [False, True])
@given(
    orders_of(*TOLD_OPS, *UNTOLD_OPS),
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from(OFFSETS_S)), min_size=3, max_size=5),
)
def test_any_moment_is_as_the_service_tells_it(team, orders, moments):
    history = a_history(orders, team=team)
    for place, offset_s in moments:
        at_s = moment_of(history, place, offset_s)
        rows, calls = at(history, at_s)
        assert rows == recorded(history.service, history.project, at_s)
        told = tree.served_tree(history.service.emulator.world, history.project, at_s)
        assert calls.pop("versions", 0) == told.changed
        assert sum(calls.values()) == told.listed, "one for each folder, and no other"


@pytest.mark.parametrize("team", [False, True])
@given(orders_of(*TOLD_OPS, *UNTOLD_OPS), st.floats(0, 1), st.sampled_from(OFFSETS_S))
def test_what_differs_from_what_truly_was_is_what_nobody_tells(team, orders, place, offset_s):
    """Places of what was moved, former names of folders, and that a folder was away meanwhile; of
    teams all that was deleted. Of each file that shows the version is the true one."""
    if team:  # whose times are whole seconds
        orders, offset_s = [each for each in orders if each[3] % 1 == 0], int(offset_s)
    history = a_history(orders, team=team)
    at_s = moment_of(history, place, offset_s)
    rows, _ = at(history, at_s)
    shown_ = {row.id: row for row in rows}
    true = {row.id: row for row in recorded(history.service, history.project, at_s, "true")}
    for each in shown_.keys() | true.keys():
        ours, theirs = shown_.get(each), true.get(each)
        if not history.untold.intersection(history.above(each)):
            assert ours == theirs
        elif ours is not None and theirs is not None and ours.version:
            names = (*ours.names[:-1], theirs.names[-1])
            assert ours == theirs._replace(names=names, since_s=ours.since_s)


@given(orders_of(*TOLD_OPS), st.floats(0, 1), st.sampled_from(OFFSETS_S))
def test_what_the_service_keeps_is_shown_as_it_truly_was(orders, place, offset_s):
    history = a_history(orders)
    at_s = moment_of(history, place, offset_s)
    rows, _ = at(history, at_s)
    assert rows == recorded(history.service, history.project, at_s, "true")
