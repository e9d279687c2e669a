"""What the service answered, until a listing says the same; rows of several runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
import trio

from dmfs.write.overlay import rows
from dmfs.write.overlay.made import Made
from dmfs.write.overlay.rows import in_our_time
from dmfs.write.settle.recording.name_table import LAG_S
from tests.support.helpers import virtual
from tests.write.overlay.folders import a_folder


def rows_of(table: Made) -> dict[str, Mapping[str, Any]]:
    changes = json.loads(json.dumps(table.take_changes()))
    return {key: record for key, record in changes if record is not None}


@virtual
async def test_a_made_folder_shows_until_a_later_listing_has_it() -> None:
    table = Made()
    asked_before = trio.current_time()
    await trio.sleep(1)
    table.shows("new", a_folder("new"))
    table.see({"other"}, asked_before)
    table.see({"new"}, asked_before)
    assert set(table.shown) == {"new"}
    await trio.sleep(1)
    table.see({"other"}, trio.current_time())  # it lags behind
    assert set(table.shown) == {"new"}
    table.see({"new"}, trio.current_time())
    assert not table


@virtual
async def test_what_a_listing_never_shows_is_believed_in_the_end() -> None:
    table = Made()
    table.shows("new", a_folder("new"))
    table.removes(a_folder("old"))
    assert table.hides(a_folder("old"))
    await trio.sleep(LAG_S + 1)
    table.see({"old"}, trio.current_time())
    assert not table.hides(a_folder("old"))
    assert table.shown == {}


@virtual
async def test_a_folder_of_this_machine_outlives_every_listing() -> None:
    table, folder = Made(), a_folder("local:1")
    table.shows(".git", folder)
    await trio.sleep(LAG_S + 1)
    table.see(set(), trio.current_time())
    assert table.shown == {".git": folder}
    table.removes(folder)
    assert not table


@virtual
async def test_rows_bring_it_back() -> None:
    table, again = Made(), Made()
    table.shows("new", a_folder("new"))
    table.removes(a_folder("old"))
    again.load(rows_of(table))
    assert again.shown == table.shown
    assert again.hides(a_folder("old"))
    assert sorted(again.row_keys()) == sorted(table.row_keys())
    assert rows_of(table) == {}
    table.see({"new"}, trio.current_time() + 1)
    assert [key for key, record in table.take_changes() if record is None] == ["/old", "new"]


@virtual
async def test_rows_of_several_runs_are_of_one_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process has a clock that began anywhere."""
    monkeypatch.setattr(rows, "wall_time_s", lambda: 1_000.0)
    now = trio.current_time()
    earlier = {"row": {"touched_at": 5e6, "settled_at": 5e6 - 3}, "now": 5e6 + 2, "at_s": 900.0}
    later = {"row": {"touched_at": 7.0, "settled_at": 0.0, "at": 6.0}, "now": 7.0, "at_s": 990.0}
    assert in_our_time(earlier) == {
        "touched_at": pytest.approx(now - 102), "settled_at": pytest.approx(now - 105)
    }  # fmt: skip
    assert in_our_time(later) == {
        "touched_at": pytest.approx(now - 10), "settled_at": 0.0, "at": pytest.approx(now - 11)
    }  # fmt: skip
