"""The table of handles: its rows, its limit, and a disk that fails."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
import trio

from dmfs.errors import (
    AccessError,
    BusyError,
    DriveError,
    GoneError,
    NotFoundError,
    SignedOutError,
    UnreachableError,
    UsageError,
)
from dmfs.fuse.export.handle_table import Handle, HandleTable
from dmfs.fuse.export.handles import Handles
from dmfs.fuse.export.operations import reported_error
from dmfs.fuse.mountpoint import parse_options
from tests.support.helpers import real


def a_handle(number: int, parent: int = 1, *, directory: bool = False) -> Handle:
    return Handle(number, parent, f"name \udc80 {number}", 0 if directory else 5, 3, directory)


def test_the_way_to_a_handle_is_read_at_once_and_by_a_later_process(tmp_path: Path) -> None:
    table = HandleTable(tmp_path / "export" / "a.db")
    assert table.way(2**62) == []
    way = [a_handle(2**62, 20), a_handle(20, 10, directory=True), a_handle(10, directory=True)]
    table.put(way, 1)
    table.close()
    again = HandleTable(tmp_path / "export" / "a.db")
    assert again.way(2**62) == way
    moved = a_handle(2**62, 10)
    again.put([moved], 1)
    assert again.way(2**62) == [moved, way[2]]
    again.close()


def test_a_circle_of_parents_ends(tmp_path: Path) -> None:
    table = HandleTable(tmp_path / "a.db")
    table.put([a_handle(2, 3, directory=True), a_handle(3, 2, directory=True)], 1)
    assert 2 < len(table.way(2)) < 100
    table.close()


def test_a_full_table_drops_what_was_used_longest_ago_and_folders_last(tmp_path: Path) -> None:
    table = HandleTable(tmp_path / "a.db", rows_max=100)
    table.put([a_handle(number, directory=True) for number in range(2, 12)], 1)
    table.put([a_handle(number) for number in range(100, 200)], 2)
    table.put([a_handle(number) for number in range(100, 105)], 3)  # used again
    for number in range(200, 260):
        table.put([a_handle(number)], 3)
    assert table.count() <= 100
    assert table.dropped >= 60
    assert all(table.way(number) for number in (*range(2, 12), *range(100, 105), 259))
    assert not table.way(106)
    table.close()


def test_what_was_noted_is_known_before_and_after_it_is_written(tmp_path: Path) -> None:
    way = [a_handle(7, 6), a_handle(6, directory=True)]

    async def use() -> None:
        handles = Handles(HandleTable(tmp_path / "a.db"))
        for each in way:
            handles.note(each)
        assert await handles.get(7) == way[0]
        await handles.written()
        assert HandleTable(tmp_path / "a.db").way(7) == way
        assert await handles.get(7) == way[0]
        assert await handles.get(8) is None
        handles.close()

    trio.run(use)


class _Stuck:
    dropped = 0

    def put(self, handles: object, day: int) -> None:
        raise DriveError("cannot use a.db: disk I/O error")

    def way(self, number: int) -> list[Handle]:
        raise OSError(5, "Input/output error")


@real
async def test_a_table_that_cannot_be_written_stops_nothing_and_says_so_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    handles = Handles(_Stuck())  # type: ignore[arg-type]
    for number in range(5):
        handles.note(a_handle(number))
        await handles.written()
    assert await handles.get(3) == a_handle(3)
    assert len(caplog.records) == 1
    with pytest.raises(DriveError):  # not "there is none": a client would give its file up
        await handles.get(99)


def test_export_is_for_servers_whose_users_are_others() -> None:
    assert parse_options("export,allow_other").exported
    assert "export" not in parse_options("export,allow_other").kernel
    with pytest.raises(UsageError, match="others") as refused:
        parse_options("export")
    assert "allow_other" in (refused.value.hint or "")
    with pytest.raises(UsageError, match="takes no value"):
        parse_options("export=1,allow_other")


def test_a_service_that_is_away_is_no_stale_handle() -> None:
    """A client gives up for good what is stale."""
    for gone in (GoneError("x"), NotFoundError("x"), AccessError("x")):
        assert reported_error(gone).errno == errno.ESTALE
    for passing in (UnreachableError("x"), SignedOutError("x"), BusyError("x"), DriveError("x")):
        told = reported_error(passing)
        assert told.errno == errno.ETIMEDOUT
        assert "x" in told.message
